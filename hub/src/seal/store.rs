//! SQL over the columns of sealed values, made of the names in [`COLUMNS`].

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::KeyId;
use super::columns::{COLUMNS, Column, Purpose};

/// Rows of a page.
const PAGE: i64 = 200;

/// A sealed value and where it stands.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct SealedValue {
    /// The row's place, which any change of the row moves.
    pub(crate) place: String,
    pub(crate) sealed: Vec<u8>,
    pub(crate) purpose: String,
}

/// Those of the columns that the database has: an older schema has fewer.
pub(crate) async fn list_columns(conn: &mut PgConnection) -> sqlx::Result<Vec<Column>> {
    let there: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = current_schema()",
    )
    .fetch_all(conn)
    .await?;
    let is_there = |column: &Column| {
        there.iter().any(|(table, name)| (table.as_str(), name.as_str()) == (column.table, column.column))
    };
    Ok(COLUMNS.into_iter().filter(is_there).collect())
}

/// How many values of a column each key sealed. The key is in hex as it stands in the values, whatever they are.
pub(crate) async fn count_by_key(
    conn: &mut PgConnection,
    column: Column,
) -> sqlx::Result<Vec<(String, i64)>> {
    let Column { table, column, .. } = column;
    let statement = format!(
        "select encode(substring({column} from 2 for 4), 'hex'), count(*) from {table} where {column} is not null group by 1 order by 1"
    );
    sqlx::query_as(AssertSqlSafe(statement)).fetch_all(conn).await
}

/// Some values that another key sealed, behind a place.
pub(crate) async fn list_under_other_keys(
    db: &PgPool,
    column: Column,
    key: KeyId,
    behind: &str,
) -> sqlx::Result<Vec<SealedValue>> {
    let purpose = match column.purpose {
        Purpose::Same(purpose) => format!("'{purpose}'"),
        Purpose::Named(prefix) => format!("'{prefix}' || name"),
    };
    let Column { table, column, .. } = column;
    let statement = format!(
        "select ctid::text as place, {column} as sealed, {purpose} as purpose from {table} \
         where {column} is not null and substring({column} from 2 for 4) <> $1 and ctid > $2::text::tid \
         order by ctid limit $3"
    );
    let query = sqlx::query_as(AssertSqlSafe(statement)).bind(key.bytes()).bind(behind).bind(PAGE);
    query.fetch_all(db).await
}

/// Puts a value in the place of another. False if the row has changed since it was read.
pub(crate) async fn replace(
    db: &PgPool,
    column: Column,
    old: &SealedValue,
    new: &[u8],
) -> sqlx::Result<bool> {
    let Column { table, column, .. } = column;
    let statement = format!("update {table} set {column} = $1 where ctid = $2::text::tid and {column} = $3");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(new).bind(&old.place).bind(&old.sealed);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// One of the hub's own secrets, as it is sealed now.
pub(crate) async fn find_own_secret(db: &PgPool) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select sealed from hub_secrets order by name limit 1").fetch_optional(db).await
}
