//! `make up`: the same set-up, staying.

use e2e::Stack;

use crate::{say, stop_signal};

/// Starts everything, says where it is, and waits for Ctrl-C.
pub(crate) async fn stay() -> anyhow::Result<()> {
    say("Arranca todo / Starting…");
    let stack = tokio::select! {
        stack = Stack::start() => stack?,
        stopped = stop_signal() => return stopped,
    };
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let lines = [
        ("tienda A / shop A", stack.shop_a.url.clone()),
        ("tienda B / shop B (su agente trae / its agent pulls)", stack.shop_b.url.clone()),
        ("correos / mails", format!("http://{}", stack.catcher.http)),
        ("Mercado Pago (simulado)", stack.simulator.url.clone()),
        ("hub", stack.hub.url.clone()),
        ("API", format!("{}/docs", stack.hub.url)),
        ("socket del agente / agent's socket", stack.agent.socket.display().to_string()),
        ("clave de A / key of A", stack.project_a.key.clone()),
        ("clave de B / key of B", stack.project_b.key.clone()),
        ("token de administración / admin token", stack.hub.admin_token().to_owned()),
        ("registros / logs", stack.directory.path("*.log").display().to_string()),
    ];
    say("");
    for (what, place) in lines {
        say(&format!("  {what:<40} {place}"));
    }
    say(&format!(
        "\nPor ejemplo / for example:\n  curl --unix-socket {} http://localhost/v1/events -d '{{\"type\":\"order.created\",\"data\":{{\"order_id\":\"A-1\"}}}}'",
        stack.agent.socket.display()
    ));
    say("\nCtrl-C termina todo / ends it all.");
    stop_signal().await?;
    say("\nSe apaga todo / Stopping…");
    stack.stop().await
}
