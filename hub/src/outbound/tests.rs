//! URLs in every spelling, and names that change their minds.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn outbound_with(allow: &str, lookup: Arc<dyn Lookup>) -> Outbound {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = vec!["127.0.0.1:8080".parse().unwrap()];
    let manner = Manner { lookup, total_timeout: Duration::from_secs(5), ..Manner::default() };
    Outbound::new(allow.parse().unwrap(), own, manner).unwrap()
}

fn outbound(allow: &str) -> Outbound {
    outbound_with(allow, Arc::new(SystemLookup))
}

async fn check(outbound: &Outbound, url: &str) -> Result<(), Refused> {
    outbound.check_url(&Url::parse(url).unwrap()).await
}

async fn get(outbound: &Outbound, url: &str) -> Result<u16, String> {
    let request = outbound.request(reqwest::Method::GET, Url::parse(url).unwrap()).build().unwrap();
    outbound.send(request).await.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"))
}

/// A resolver that answers with one list after the other; the last one stays.
#[derive(Debug)]
struct Fickle {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Fickle {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Lookup for Fickle {
    fn lookup(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { Ok(answer) })
    }
}

/// A web server that gives every request this answer, and counts connections and requests.
#[derive(Clone)]
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, connections: Arc::default(), requests: Arc::default() };
        let counts = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counts.connections.fetch_add(1, Ordering::SeqCst);
                let requests = counts.requests.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4_096];
                    // A request without a body comes in one piece.
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        requests.fetch_add(1, Ordering::SeqCst);
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        server
    }

    fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn private_and_reserved_addresses_are_refused_in_every_spelling() {
    let outbound = outbound("");
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "127.0.0.1.",
        "2130706433.",
        "127.0.0.1%2e",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "10.0.0.1",
        "012.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "3232235777",
        "169.254.169.254",
        "169.254.43518",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "2852039166",
        "100.64.0.1",
        "0.0.0.0",
        "0",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "192.0.0.8",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[::127.0.0.1]",
        "[2001:db8::1]",
        "[ff02::1]",
    ] {
        let result = check(&outbound, &format!("https://{host}/hook")).await;
        assert!(matches!(result, Err(Refused::Address(_))), "{host}: {result:?}");
    }
    assert_eq!(check(&outbound, "https://93.184.216.34/hook").await, Ok(()));
    assert_eq!(check(&outbound, "https://[2606:2800:220:1::1]/hook").await, Ok(()));
}

#[tokio::test]
async fn users_fragments_and_other_schemes_are_refused() {
    let all = outbound("127.0.0.0/8");
    for url in [
        "https://93.184.216.34@127.0.0.1:9000/",
        "https://shop.example.com:secret@127.0.0.1/",
        "https://:secret@shop.example.com/",
        "https://user@shop.example.com/",
        "https://shop.example.com/#@127.0.0.1",
        "https://shop.example.com:0/",
        "ftp://shop.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/",
        "unix:/run/docker.sock",
    ] {
        assert_eq!(check(&all, url).await, Err(Refused::Shape), "{url}");
    }
    // What looks like a user and is none is part of the path; the host is what is checked.
    for url in
        ["https://127.0.0.1\\@shop.example.com/", "https://127.0.0.1/@shop.example.com", "https:127.0.0.1"]
    {
        let result = check(&outbound(""), url).await;
        assert!(matches!(result, Err(Refused::Address(_))), "{url}: {result:?}");
    }
}

#[tokio::test]
async fn plain_http_needs_the_operator() {
    assert_eq!(check(&outbound(""), "http://93.184.216.34/").await, Err(Refused::PlainHttp));
    let allowed = outbound("127.0.0.0/8:9000,93.184.216.0/24");
    assert_eq!(check(&allowed, "http://93.184.216.34/").await, Ok(()));
    assert_eq!(check(&allowed, "http://127.0.0.1:9000/").await, Ok(()));
    assert!(check(&allowed, "http://127.0.0.1:9001/").await.is_err());
    assert!(check(&allowed, "http://127.0.0.1:8080/").await.is_err());
}

#[tokio::test]
async fn a_name_is_checked_when_it_is_connected_to() {
    let error = get(&outbound(""), "https://localhost:9/").await.unwrap_err();
    assert!(error.contains("127.0.0.1") || error.contains("::1"), "{error}");
    // The range is open for another port only.
    let error = get(&outbound("127.0.0.0/8:9000,::1/128:9000"), "https://localhost:9/").await.unwrap_err();
    assert!(error.contains("Address("), "{error}");
}

#[tokio::test]
async fn a_name_that_changes_between_check_and_connection_gains_nothing() {
    let server = Server::start(OK).await;
    let url = format!("http://rebind.example.com:{}/", server.port);
    let only_this = format!("127.0.0.1/32:{}", server.port);
    // The name is fine when the URL is checked, and has moved when it is connected to: to an address that is not allowed
    // at all, and to a public one that is not allowed without TLS.
    for later in ["127.0.0.2", "169.254.169.254", "10.0.0.1", "::ffff:10.0.0.1", "93.184.216.34"] {
        let fickle = Fickle::new(&[&["127.0.0.1"], &[later]]);
        let error = get(&outbound_with(&only_this, fickle.clone()), &url).await.unwrap_err();
        assert!(error.contains("Address(") || error.contains("PlainHttp"), "{later}: {error}");
        assert_eq!(fickle.asked.load(Ordering::SeqCst), 2);
    }
    assert_eq!(server.counts(), (0, 0));
    // With TLS there is one look-up, the connection's own.
    let fickle = Fickle::new(&[&["10.0.0.1"]]);
    let error = get(&outbound_with("", fickle.clone()), "https://rebind.example.com/").await.unwrap_err();
    assert!(error.contains("Address(10.0.0.1)"), "{error}");
    assert_eq!(fickle.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_are_connected_to() {
    let server = Server::start(OK).await;
    let url = format!("http://many.example.com:{}/", server.port);
    let allow = format!("127.0.0.1/32:{}", server.port);
    // The check of a plain address wants all of them allowed, the connection takes those that are.
    let fickle = Fickle::new(&[&["127.0.0.1"], &["10.0.0.1", "169.254.169.254", "127.0.0.1"]]);
    assert_eq!(get(&outbound_with(&allow, fickle), &url).await, Ok(200));
    let fickle = Fickle::new(&[&["127.0.0.1", "10.0.0.1"]]);
    assert!(get(&outbound_with(&allow, fickle), &url).await.unwrap_err().contains("Address(10.0.0.1)"));
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn a_connection_is_used_again_for_its_own_host_only() {
    let server = Server::start(OK).await;
    let allow = format!("127.0.0.1/32:{}", server.port);
    let fickle = Fickle::new(&[&["127.0.0.1"]]);
    let outbound = outbound_with(&allow, fickle.clone());
    for _ in 0..3 {
        assert_eq!(get(&outbound, &format!("http://one.example.com:{}/", server.port)).await, Ok(200));
    }
    assert_eq!(server.counts(), (1, 3));
    // The same address under another name is another connection, and was checked for itself.
    assert_eq!(get(&outbound, &format!("http://two.example.com:{}/", server.port)).await, Ok(200));
    assert_eq!(server.counts(), (2, 4));
    *fickle.answers.lock().unwrap() = vec![vec!["127.0.0.2".parse().unwrap()]];
    assert!(get(&outbound, &format!("http://three.example.com:{}/", server.port)).await.is_err());
    // Nor does an open connection help a name that has moved away: it is checked before each request.
    assert!(get(&outbound, &format!("http://one.example.com:{}/", server.port)).await.is_err());
    assert_eq!(server.counts(), (2, 4));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    for target in
        ["http://169.254.169.254/latest/meta-data/", "/elsewhere", "//127.0.0.2/", "file:///etc/passwd"]
    {
        let answer: &'static str =
            format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n").leak();
        let server = Server::start(answer).await;
        let allowed = outbound("127.0.0.0/8");
        assert_eq!(get(&allowed, &format!("http://127.0.0.1:{}/", server.port)).await, Ok(302));
        assert_eq!(server.counts(), (1, 1));
    }
}
