<!doctype html>
<html lang="es">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{{ $shop['name'] }}</title>
    <style>
        body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
        ul { list-style: none; padding: 0; }
        li { display: flex; justify-content: space-between; padding: .6rem 0; border-bottom: 1px solid #ddd; }
        label { display: block; margin: .6rem 0; }
        input:not([type=radio]) { display: block; width: 100%; padding: .4rem; font: inherit; box-sizing: border-box; }
        button { padding: .6rem 1.2rem; font: inherit; cursor: pointer; }
        output { display: block; margin-top: 1rem; }
    </style>
</head>
<body>
    <h1>{{ $shop['name'] }}</h1>
    <p>{{ $shop['greeting'] }}</p>

    <form id="order">
        <ul>
            @foreach ($shop['products'] as $slug => $product)
                <li>
                    <label><input type="radio" name="product" value="{{ $slug }}" required @if ($loop->first) checked @endif> {{ $product['name'] }}</label>
                    <span>{{ $product['price'] }} {{ $shop['currency'] }}</span>
                </li>
            @endforeach
        </ul>
        <label>Tu nombre <input name="name" autocomplete="name"></label>
        <label>Tu correo <input name="email" type="email" autocomplete="email" required></label>
        <label>Tu WhatsApp (opcional) <input name="phone" type="tel" autocomplete="tel" placeholder="+54 9 11 1234-5678"></label>
        <button>Hacer el pedido</button>
    </form>
    <output id="result" aria-live="polite"></output>

    <script>
        const result = document.getElementById('result');
        const post = async (path, body) => {
            const answer = await fetch(path, {
                method: 'POST',
                headers: {'Content-Type': 'application/json', 'Accept': 'application/json'},
                body: JSON.stringify(body ?? {}),
            });
            return {ok: answer.ok, body: await answer.json()};
        };

        document.getElementById('order').addEventListener('submit', async (event) => {
            event.preventDefault();
            const fields = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ''));
            const order = await post('/orders', fields);

            if (!order.ok) {
                result.textContent = 'Revisá los datos: no pudimos tomar el pedido.';
                return;
            }

            const pay = document.createElement('button');
            pay.textContent = 'Pagar con Mercado Pago';
            pay.addEventListener('click', async () => {
                const payment = await post(`/orders/${order.body.order_id}/checkout`);
                if (payment.body.checkout_url) {
                    location.href = payment.body.checkout_url;
                } else {
                    result.append(' El pago está en proceso; probá de nuevo en un momento.');
                }
            });
            result.replaceChildren(`Pedido ${order.body.order_id} recibido. `, pay);
        });
    </script>
</body>
</html>
