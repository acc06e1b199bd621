@props(['payment', 'size' => 240])
@php
    $payment = $payment instanceof \Trastienda\Laravel\Payments\Payment ? $payment : \Trastienda\Laravel\Payments\Payment::fromArray((array) $payment);
@endphp
@if ($payment->isPaid())
<p {{ $attributes->merge(['class' => 'trastienda-paid', 'role' => 'status']) }}>Pagamento recebido. Obrigado!</p>
@elseif ($payment->qrCode !== null && $payment->isPending())
<div {{ $attributes->merge(['class' => 'trastienda-pix']) }}>
<div style="width: {{ (int) $size }}px; max-width: 100%">{!! \Trastienda\Laravel\Payments\QrCode::svg($payment->qrCode, 'Pix') !!}</div>
<label>Pix copia e cola <input type="text" readonly value="{{ $payment->qrCode }}" onfocus="this.select()"></label>
</div>
@else
<p {{ $attributes->merge(['class' => 'trastienda-failed', 'role' => 'status']) }}>Este Pix não vale mais.</p>
@endif
