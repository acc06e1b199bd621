¡Gracias, {{ $order['customer_name'] }}!

Recibimos tu pedido {{ $order['order_id'] }}:
@foreach ($order['items'] as $item)
- {{ $item['quantity'] }} x {{ $item['name'] }}
@endforeach

Total: $ {{ number_format((float) $order['total'], 2, ',', '.') }} {{ $order['currency'] }}
