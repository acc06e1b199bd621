use reqwest::StatusCode;
use serde_json::json;

use crate::world::{World, answer};

#[tokio::test]
async fn a_wrong_token_is_401_before_anything_else() {
    let mut world = World::new().await;
    world.seller.access_token = "APP_USR-nobody".to_owned();
    for path in ["/users/me", "/v1/payments/1", "/v1/payments/search", "/checkout/preferences/x"] {
        let refused = world.get(path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(refused.json()["error"], "unauthorized");
        assert_eq!(refused.json()["message"], "invalid access token");
    }
    let refused = world.post("/v1/payments", json!({"nonsense": 1})).await;
    assert_eq!(refused.status, 401, "before the missing key and the bad body");
}

#[tokio::test]
async fn no_authorization_at_all_is_the_gateways_403() {
    let world = World::new().await;
    let url = format!("{}/users/me", world.simulator.url());
    let refused = answer(world.client.get(url).send().await.unwrap()).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["code"], "PA_UNAUTHORIZED_RESULT_FROM_POLICIES");
    assert_eq!(refused.json()["blocked_by"], "PolicyAgent");
}

#[tokio::test]
async fn says_who_a_token_belongs_to() {
    let mut world = World::new().await;
    world.become_seller_of("MLB");
    let me = world.get("/users/me").await.json();
    assert_eq!(me["id"], world.seller.user_id);
    assert_eq!(me["site_id"], "MLB");
    assert!(me["tags"].as_array().unwrap().contains(&json!("test_user")));
}

#[tokio::test]
async fn another_sellers_payment_does_not_exist() {
    let mut world = World::new().await;
    let paid = world.charge("APRO", json!({"external_reference": "r"})).await.json();
    let path = format!("/v1/payments/{}", paid["id"]);
    assert_eq!(world.get(&path).await.status, 200);
    world.become_seller_of("MLB");
    let missing = world.get(&path).await;
    assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, json!(2000)));
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 0);
}

#[tokio::test]
async fn a_seller_can_be_added_and_is_gone_after_a_reset() {
    let mut world = World::new().await;
    let known = world.get("/control/sellers").await.json()["sellers"].clone();
    assert_eq!(known[0]["access_token"], world.seller.access_token);
    assert_eq!(known.as_array().unwrap().len(), 2);

    let made = world.control("/sellers", json!({"site": "MLC", "webhook_secret": "s"})).await;
    assert_eq!(made["webhook_secret"], "s");
    let first = world.seller.access_token.clone();
    made["access_token"].as_str().unwrap().clone_into(&mut world.seller.access_token);
    assert_eq!(world.get("/users/me").await.json()["site_id"], "MLC");
    let taken = world.post("/control/sellers", json!({"access_token": first})).await;
    assert_eq!(taken.status, 409);

    world.control("/reset", json!({})).await;
    assert_eq!(world.get("/users/me").await.status, 401);
    let again = world.control("/sellers", json!({"site": "MLC", "webhook_secret": "s"})).await;
    assert_eq!(again, made, "the seed gives the same again");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_brings_the_next() {
    let mut world = World::new().await;
    let ask = async |world: &World, more: serde_json::Value| {
        let mut body = json!({"client_id": "1", "client_secret": "s"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.post("/oauth/token", body).await
    };
    let code =
        json!({"grant_type": "authorization_code", "code": format!("TG-code-{}", world.seller.user_id)});
    let first = ask(&world, code.clone()).await;
    assert_eq!(first.status, 200);
    assert_eq!(ask(&world, code).await.json()["error"], "invalid_grant", "a code works once");
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]});
    let second = ask(&world, refresh.clone()).await.json();
    assert_ne!(second["refresh_token"], first.json()["refresh_token"]);
    let again = ask(&world, refresh).await;
    assert_eq!(
        (again.status, again.json()["error"].clone()),
        (StatusCode::BAD_REQUEST, json!("invalid_grant"))
    );
    // The token is the seller's.
    second["access_token"].as_str().unwrap().clone_into(&mut world.seller.access_token);
    assert_eq!(world.get("/users/me").await.json()["id"], world.seller.user_id);
}
