//! The story: each step looks whether it truly happened, and how long it took.

use anyhow::{Context as _, ensure};
use e2e::{Ground, Stack, until};
use serde_json::Value;

use crate::say;
use crate::told::Told;

/// The customer of the story.
const EMAIL: &str = "ana@cliente.example.com";
const PHONE: &str = "+54 9 11 2345-6789";

/// Tells it.
pub(crate) async fn tell() -> anyhow::Result<()> {
    let mut told = Told::default();
    say("Trastienda: un pedido, de punta a punta / an order, all the way");
    let mut stack = open(&mut told).await?;
    if let Err(error) = run(&mut stack, &mut told).await {
        say(&stack.directory.log_tails()?);
        return Err(error);
    }
    told.begin("Se apaga todo / everything ends");
    stack.stop().await?;
    told.done("final", "no quedó ningún proceso");
    told.table();
    say("\nTodo pasó de verdad. / All of it truly happened.");
    Ok(())
}

async fn run(stack: &mut Stack, told: &mut Told) -> anyhow::Result<()> {
    let order = order(stack, told).await?;
    checkout(stack, told, &order).await?;
    outage(stack, told).await
}

/// Hub, projects, shops.
async fn open(told: &mut Told) -> anyhow::Result<Stack> {
    told.begin("Arranca el hub con su PostgreSQL, un Mercado Pago simulado y un servidor SMTP");
    let ground = Ground::start().await?;
    let at = (ground.hub.url.clone(), ground.simulator.url.clone(), ground.catcher.smtp.clone());
    told.done("arranque", &format!("hub {}, Mercado Pago {}, SMTP {}", at.0, at.1, at.2));

    told.begin("Se crea un proyecto para cada tienda / a project for each shop");
    let project_a = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
    let project_b = ground.hub.create_project("Librería del Sur", "libros.example.com").await?;
    say(&format!(
        "  clave de la tienda A, que se muestra esta única vez / shown this once: {}",
        project_a.key
    ));
    for project in [&project_a, &project_b] {
        let shown = ground.hub.admin(&format!("/admin/v1/projects/{}", project.id)).await?.to_string();
        let (key, secret) = (&project.key, project.secret());
        ensure!(!shown.contains(secret) && !shown.contains(key), "the hub shows a key again: {shown}");
    }
    told.done("proyectos", &format!("{} y {}", project_a.id, project_b.id));

    told.begin(
        "Abren las dos tiendas Laravel; la B no tiene puerto abierto: su agente le trae los webhooks / both open, B without a port",
    );
    let stack = ground.open_shops(project_a, project_b).await?;
    let agents = format!("/admin/v1/projects/{}/agents", stack.project_a.id);
    let pulls = async || {
        let seen = stack.hub.admin(&agents).await?;
        let agents = seen["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(agents.iter().any(|agent| agent["is_pulling"] == true).then_some(()))
    };
    until("shop B's agent pulls", pulls).await?;
    told.done("tiendas", &format!("A {}, B detrás de {}", stack.shop_a.url, e2e::PULLED));

    told.begin("Se guardan, selladas, las credenciales de Mercado Pago / sealed, never read back");
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let providers = stack.hub.get(&stack.project_a, "/v1/payment-providers").await?.to_string();
    ensure!(providers.contains("mercadopago"), "no provider is set: {providers}");
    ensure!(!providers.contains(&stack.simulator.access_token), "the access token can be read back");
    told.done("credenciales", "mercadopago, del proyecto de la tienda A");
    Ok(stack)
}

/// The order, and everything that follows from it at once.
async fn order(stack: &Stack, told: &mut Told) -> anyhow::Result<String> {
    told.begin("La tienda A vende una yerba: PHP → extensión → agente");
    let answer = stack.shop_a.order(None, "yerba-kilo", EMAIL, Some(PHONE)).await?;
    let order = answer["order_id"].as_str().context("the shop gave no order id")?.to_owned();
    let event = answer["event_id"].as_str().context("the shop gave no event id")?.to_owned();
    told.done("pedido", &format!("pedido {order}, evento {event}"));

    told.begin("El evento llega firmado a la tienda B, que verifica la firma / signed, verified there");
    let arrived =
        async || Ok((stack.shop_b.count_received("order.created", &order).await? == 1).then_some(()));
    until("order.created at shop B", arrived).await?;
    let shown = stack.hub.get(&stack.project_a, &format!("/v1/events/{event}")).await?;
    let deliveries = shown["deliveries"].as_array().map_or(0, Vec::len);
    let pushed = stack.hub.get(&stack.project_a, "/v1/webhook-endpoints").await?.to_string();
    ensure!(!pushed.contains(&stack.shop_b.url), "the hub knows an address of shop B: {pushed}");
    ensure!(pushed.contains(e2e::PULLED), "no endpoint is pulled: {pushed}");
    ensure!(stack.shop_b.has_no_open_port()?, "shop B listens where others could call it");
    let forged = stack.shop_b.receive_forged("order.paid", &order).await?;
    ensure!(forged == 401, "shop B answered {forged} to a forged webhook");
    told.done(
        "webhook",
        &format!(
            "order.created en la tienda B, traído por su agente, firma verificada ({deliveries} destinos); uno falso recibe 401"
        ),
    );

    told.begin("El correo llega al servidor SMTP");
    let mail = stack.catcher.mail_to(EMAIL).await?;
    let subject = mail["subject"].as_str().context("the mail has no subject")?;
    ensure!(
        mail["text"].as_str().is_some_and(|text| text.contains(&order)),
        "the mail does not name the order: {mail}"
    );
    told.done("correo", &format!("asunto: «{subject}»"));

    told.begin("El enlace de WhatsApp, para que una persona lo toque");
    let link = answer["whatsapp"]["link"].as_str().context("the shop got no WhatsApp link")?;
    ensure!(link.starts_with("https://wa.me/5491123456789?text="), "an odd link: {link}");
    told.done("WhatsApp", &link.chars().take(60).collect::<String>());
    Ok(order)
}

/// The payment of the order.
async fn checkout(stack: &Stack, told: &mut Told, order: &str) -> anyhow::Result<()> {
    told.begin("Se crea el pago en Mercado Pago (simulado)");
    let made = stack.shop_a.checkout(order).await?;
    let payment = made["payment_id"].as_str().context("the shop gave no payment id")?;
    let url = made["checkout_url"].as_str().context("the shop gave no checkout address")?;
    let shown = stack.hub.get(&stack.project_a, &format!("/v1/payments/{payment}")).await?;
    let preference =
        shown["provider_reference"].as_str().context("the payment has no preference")?.to_owned();
    told.done("checkout", url);

    told.begin("El comprador paga; llega el aviso firmado y el hub pregunta al proveedor");
    stack.simulator.pay(&preference).await?;
    let path = format!("/v1/payments/{payment}");
    let paid = async || {
        let shown = stack.hub.get(&stack.project_a, &path).await?;
        Ok((shown["status"] == "paid").then_some(shown))
    };
    let paid: Value = until("the payment is paid", paid).await?;
    told.done(
        "pago",
        &format!(
            "paid, {} {}",
            paid["amount"].as_str().unwrap_or_default(),
            paid["currency"].as_str().unwrap_or_default()
        ),
    );

    told.begin("order.paid llega a las dos tiendas");
    for shop in [&stack.shop_a, &stack.shop_b] {
        let arrived = async || Ok((shop.count_received("order.paid", order).await? == 1).then_some(()));
        until("order.paid", arrived).await?;
    }
    let shown = stack.shop_a.show(order).await?;
    ensure!(shown["status"] == "paid", "the shop's own order is not paid: {shown}");
    told.done("order.paid", "entregado; el pedido de la tienda A figura pagado");
    Ok(())
}

/// The hub dies, the shop goes on selling, nothing is lost.
async fn outage(stack: &mut Stack, told: &mut Told) -> anyhow::Result<()> {
    told.begin("Se mata el hub (kill -9) y la tienda A vende tres pedidos más");
    stack.hub.kill().await?;
    let mut orders = Vec::new();
    for product in ["mate-calabaza", "bombilla-alpaca", "yerba-kilo"] {
        let answer = stack.shop_a.order(None, product, EMAIL, None).await?;
        orders.push(answer["order_id"].as_str().context("the shop gave no order id")?.to_owned());
    }
    let waiting = stack.agent.status().await?["buffered"].as_u64().unwrap_or(0);
    ensure!(waiting >= 6, "the agent should hold 3 events and 3 mails, it holds {waiting}");
    told.done("sin hub", &format!("tres pedidos sin un error; el agente guarda {waiting} llamadas"));

    told.begin("Vuelve el hub: los tres llegan, exactamente una vez cada uno");
    stack.hub.restart(&stack.directory).await?;
    for order in &orders {
        let arrived =
            async || Ok((stack.shop_b.count_received("order.created", order).await? == 1).then_some(()));
        until("the order reaches shop B", arrived).await?;
    }
    stack.agent.until_drained().await?;
    for order in &orders {
        let events = stack
            .hub
            .get(&stack.project_a, &format!("/v1/events?type=order.created&order_id={order}"))
            .await?;
        let count = events["data"].as_array().map_or(0, Vec::len);
        ensure!(count == 1, "the hub has {count} events of order {order}");
        let handled = stack.shop_b.count_received("order.created", order).await?;
        ensure!(handled == 1, "shop B handled order {order} {handled} times");
    }
    let mails = async || {
        let mails = stack.catcher.mails().await?;
        let to_ana = mails.iter().filter(|mail| mail["envelope_to"][0] == EMAIL).count();
        Ok((to_ana == 4).then_some(()))
    };
    until("the four mails", mails).await?;
    told.done("recuperación", "3 de 3 pedidos en la tienda B, una vez cada uno; 4 correos en total");
    Ok(())
}
