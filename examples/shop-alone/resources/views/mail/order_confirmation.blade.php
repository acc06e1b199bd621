<!doctype html>
<html lang="es">
<body style="font-family: sans-serif; max-width: 36rem; margin: auto">
    <h1>¡Gracias, {{ $order['customer_name'] }}!</h1>
    <p>Recibimos tu pedido <strong>{{ $order['order_id'] }}</strong>.</p>
    <table width="100%">
        @foreach ($order['items'] as $item)
            <tr>
                <td>{{ $item['quantity'] }} × {{ $item['name'] }}</td>
                <td align="right">$ {{ number_format((float) $item['price'], 2, ',', '.') }}</td>
            </tr>
        @endforeach
        <tr>
            <td>Total</td>
            <td align="right"><strong>$ {{ number_format((float) $order['total'], 2, ',', '.') }} {{ $order['currency'] }}</strong></td>
        </tr>
    </table>
    <p>Te avisamos cuando salga.</p>
</body>
</html>
