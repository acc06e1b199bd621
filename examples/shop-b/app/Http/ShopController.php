<?php

declare(strict_types=1);

namespace Shop\Http;

use Illuminate\Contracts\View\View;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Validator;
use Illuminate\Validation\Rule;
use Shop\BackRoom;
use Shop\Order;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\TrastiendaException;

/**
 * The shop's pages and its small API.
 */
final class ShopController
{
    public function catalogue(): View
    {
        return view('catalogue', ['shop' => config('shop')]);
    }

    public function order(Request $request, BackRoom $backRoom): JsonResponse
    {
        $validator = Validator::make($request->all(), [
            'product' => ['required', Rule::in(array_keys(config('shop.products')))],
            'email' => ['required', 'email'],
            'name' => ['nullable', 'string', 'max:80'],
            'phone' => ['nullable', 'string', 'max:30'],
        ], [
            'required' => 'Falta este dato.',
            'in' => 'No vendemos ese producto.',
            'email' => 'No es una dirección de correo.',
            'max' => 'Es demasiado largo.',
        ]);

        if ($validator->fails()) {
            return new JsonResponse(['errors' => $validator->errors()], 422);
        }

        return new JsonResponse($backRoom->announce(Order::place($validator->validated())), 201);
    }

    public function checkout(string $id, BackRoom $backRoom): JsonResponse
    {
        $order = Order::findOrFail($id);

        try {
            $payment = $backRoom->checkout($order);
            [$id, $status, $url] = [$payment->id, $payment->status->value, $payment->checkoutUrl];
        } catch (OutcomeUnknown $exception) {
            // Neither paid nor failed: the customer may ask again, and it is the same payment.
            [$id, $status, $url] = [$exception->id(), 'unknown', null];
        } catch (TrastiendaException $exception) {
            report($exception);

            return new JsonResponse(['order_id' => $order->id, 'problem' => $exception->getMessage()], 503);
        }

        $order->update(['payment_id' => $id]);

        return new JsonResponse(['order_id' => $order->id, 'payment_id' => $id, 'status' => $status, 'checkout_url' => $url]);
    }

    public function show(string $id): JsonResponse
    {
        return new JsonResponse(Order::findOrFail($id)->toArray());
    }

    public function received(): JsonResponse
    {
        $rows = DB::table('received')->orderBy('id')->get()->map(fn (object $row): array => [
            'id' => $row->webhook_id,
            'type' => $row->type,
            'project' => $row->project,
            'order_id' => $row->order_id,
            'data' => json_decode($row->data, true),
            'received_at' => $row->received_at,
        ]);

        return new JsonResponse(['data' => $rows]);
    }
}
