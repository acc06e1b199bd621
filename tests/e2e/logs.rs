//! No secret and nothing personal is readable in any log of a whole run, even at debug level.

use e2e::Stack;

#[tokio::test]
async fn the_logs_of_a_whole_run_hold_no_secret() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let email = "plantada@cliente.example.com";
    let answer = stack.shop_a.order(None, "yerba-kilo", email, Some("+54 9 11 2345-6789")).await?;
    let order = answer["order_id"].as_str().unwrap();
    let made = stack.shop_a.checkout(order).await?;
    let path = format!("/v1/payments/{}", made["payment_id"].as_str().unwrap());
    let preference =
        stack.hub.get(&stack.project_a, &path).await?["provider_reference"].as_str().unwrap().to_owned();
    stack.simulator.pay(&preference).await?;
    stack.catcher.mail_to(email).await?;
    // Failures are told too: a wrong key, a dead hub, a refused call.
    stack.hub.kill().await?;
    stack.shop_a.order(None, "yerba-kilo", email, None).await?;
    stack.hub.restart(&stack.directory).await?;
    stack.agent.until_drained().await?;
    let wrong = e2e::Project { key: format!("{}x", stack.project_a.key), ..stack.project_a.clone() };
    assert!(stack.hub.get(&wrong, "/v1/project").await.is_err());

    let master_key = std::fs::read_to_string(stack.directory.path("hub/master.key"))?;
    let secrets = [
        ("an API key's secret", stack.project_a.secret().to_owned()),
        ("the admin token", stack.hub.admin_token().to_owned()),
        ("the provider's access token", stack.simulator.access_token.clone()),
        ("the provider's webhook secret", stack.simulator.webhook_secret.clone()),
        ("the master key", master_key.trim().to_owned()),
        ("a webhook secret", "whsec_".to_owned()),
        ("the customer's address", email.to_owned()),
        ("the customer's number", "1123456789".to_owned()),
    ];
    let ours = |name: &str| {
        name.starts_with("hub") || name.starts_with("agent") || name == "server.log" || name == "laravel.log"
    };
    let mut searched = String::new();
    for (file, text) in stack.directory.logs()? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !ours(&name) {
            continue;
        }
        searched.push_str(&text);
        for (what, secret) in &secrets {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{what} is in {name}: {}", line.unwrap_or_default());
        }
    }
    // The right files, at the level that tells most.
    for line in ["the hub is ready", "DEBUG request", "a batch was not taken"] {
        assert!(searched.contains(line), "`{line}` is not in what was searched");
    }
    stack.stop().await
}
