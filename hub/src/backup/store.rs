//! SQL about the database as a whole.

use sqlx::{PgConnection, PgPool};

use crate::seal;

/// The database as it is when this is asked, for as long as the transaction goes on.
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) postgresql: String,
    /// The newest migration; `None`: there are no tables of ours.
    pub(super) schema: Option<i64>,
    /// The master keys that sealed anything, in hex, each with a column.
    pub(super) keys: Vec<(String, String)>,
}

/// Makes a transaction's view of the database one that others can share.
pub(super) async fn export_snapshot(conn: &mut PgConnection) -> sqlx::Result<Snapshot> {
    sqlx::raw_sql("set transaction isolation level repeatable read, read only; set local idle_in_transaction_session_timeout = 0")
        .execute(&mut *conn)
        .await?;
    let id = sqlx::query_scalar("select pg_export_snapshot()").fetch_one(&mut *conn).await?;
    let postgresql =
        sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut *conn).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *conn)
        .await?;
    let (mut schema, mut keys) = (None, Vec::new());
    if is_there {
        schema = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&mut *conn)
            .await?;
        for column in seal::store::list_columns(conn).await? {
            let found = seal::store::count_by_key(conn, column).await?;
            keys.extend(
                found.into_iter().map(|(key, _)| (key, format!("{}.{}", column.table, column.column))),
            );
        }
    }
    Ok(Snapshot { id, postgresql, schema, keys })
}

/// How many tables, sequences and views there are, whoever made them.
pub(super) async fn count_tables(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')",
    )
    .fetch_one(db)
    .await
}

/// Drops everything that a hub's database holds, in a script for `psql`.
pub(super) const DROP_ALL: &str = "do $$
declare
    found record;
begin
    for found in
        select c.oid::regclass as name,
               case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                              when 'f' then 'foreign table' else 'table' end as kind
        from pg_class c
        where c.relnamespace = current_schema()::regnamespace
          and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and not c.relispartition
          -- A sequence of an identity column goes with its table.
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i' and c.relkind = 'S')
    loop
        execute format('drop %s if exists %s cascade', found.kind, found.name);
    end loop;
    for found in
        select p.oid::regprocedure as name
        from pg_proc p
        where p.pronamespace = current_schema()::regnamespace
          and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('drop routine if exists %s cascade', found.name);
    end loop;
end
$$;
";
