//! Resolving names, and checking what comes of it at the moment of the connection.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Guard, Purpose};

/// Who turns names into addresses.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// The addresses of a name, now.
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

tokio::task_local! {
    /// What the request that is being sent is for.
    pub(super) static PURPOSE: Purpose;
}

/// Gives a connection only addresses that it may be made to.
pub(super) struct CheckedResolver {
    pub(super) guard: Arc<Guard>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let looked_up = self.lookup.lookup(name.as_str());
        Box::pin(async move {
            let purpose = PURPOSE.try_with(|purpose| *purpose).ok();
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in looked_up.await? {
                match guard.check(address, purpose) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                Some(refused) if allowed.is_empty() => {
                    Err(Box::new(refused) as Box<dyn std::error::Error + Send + Sync>)
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
