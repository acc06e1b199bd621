@props(['payment', 'label' => null])
@php
    $payment = $payment instanceof \Trastienda\Laravel\Payments\Payment ? $payment : \Trastienda\Laravel\Payments\Payment::fromArray((array) $payment);
@endphp
@if ($payment->isPaid())
<p {{ $attributes->merge(['class' => 'trastienda-paid', 'role' => 'status']) }}>Pago recibido. ¡Gracias!</p>
@elseif ($payment->checkoutUrl !== null)
<a {{ $attributes->merge(['class' => 'trastienda-checkout', 'href' => $payment->checkoutUrl, 'rel' => 'noopener']) }}>{{ $label ?? ($slot->isEmpty() ? 'Pagar con Mercado Pago' : $slot) }}</a>
@elseif ($payment->isFailed())
<p {{ $attributes->merge(['class' => 'trastienda-failed', 'role' => 'status']) }}>El pago no se pudo hacer. Probá con otro medio.</p>
@else
<p {{ $attributes->merge(['class' => 'trastienda-pending', 'role' => 'status']) }}>El pago está en proceso.</p>
@endif
