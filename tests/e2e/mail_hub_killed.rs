//! The hub dies while it sends mail.

use e2e::mails_through_kills;

#[tokio::test]
async fn each_mail_arrives_although_the_hub_is_killed_while_it_sends() -> anyhow::Result<()> {
    let mails = mails_through_kills(300, 3).await?;
    assert_eq!((mails.arrived, mails.kills), (300, 3));
    Ok(())
}
