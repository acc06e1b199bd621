//! Whether the database is away, or has understood and said no.

use crate::http::Unavailable;

/// SQLSTATE classes of a server that is away, stopping or short of something, or that undid a transaction for another's sake
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];
/// A statement that took too long, though of class 57: it would again.
const CANCELLED: &str = "57014";

/// Whether an error is to be waited out: the same statement may succeed later, as it is.
pub fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Unavailable>() || cause.downcast_ref().is_some_and(is_away_from))
}

fn is_away_from(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code != CANCELLED && CLASSES.iter().any(|class| code.starts_with(class))),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::http::Error;

    #[test]
    fn what_is_away_is_waited_for_and_what_is_wrong_is_not() {
        let away = || sqlx::Error::PoolTimedOut;
        assert!(is_away(&away().into()));
        assert!(is_away(&Err::<(), _>(away()).context("the replay").unwrap_err()));
        assert!(is_away(&Error::from(away()).into_cause()), "also after it was nearly an answer");
        assert!(is_away(&Error::from(sqlx::Error::Protocol("no such message".to_owned())).into_cause()));
        assert!(!is_away(&sqlx::Error::RowNotFound.into()));
        assert!(!is_away(&Error::NotFound("event").into_cause()));
        assert!(!is_away(&anyhow::anyhow!("a mistake of ours")));
    }

    #[sqlx::test]
    async fn a_server_that_ends_a_connection_is_away_and_one_that_refuses_is_not(pool: sqlx::PgPool) {
        let says = async |statement: &'static str| {
            sqlx::raw_sql(statement).execute(&mut *pool.acquire().await.unwrap()).await.unwrap_err().into()
        };
        assert!(is_away(&says("select pg_terminate_backend(pg_backend_pid())").await));
        assert!(is_away(&says("do $$ begin raise sqlstate '40P01'; end $$").await));
        assert!(!is_away(&says("set statement_timeout = 1; select pg_sleep(60)").await));
        assert!(!is_away(&says("select 1 / 0").await));
    }
}
