//! What goes over a real socket, and what a router in the process sees of it.

use std::path::PathBuf;

use super::*;

/// A server on a real socket: for each connection takes in one request and does what it is told.
async fn socket<F, A>(serve: F) -> Url
where
    F: Fn(String, tokio::net::TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !request.ends_with(b"=end") {
                let n = stream.read(&mut piece).await.unwrap();
                if n == 0 {
                    break;
                }
                request.extend_from_slice(&piece[..n]);
            }
            serve(String::from_utf8(request).unwrap(), stream).await;
        }
    });
    Url::parse(&format!("http://{address}/v1")).unwrap()
}

fn network_account(base_url: Url) -> Account {
    let transport = Transport::network(&NetworkOptions::default()).unwrap();
    let mut options = AccountOptions::new("mail", base_url, transport);
    options.max_retries = 0;
    Account::new(options)
}

fn ending_call(mut call: Call) -> Call {
    call.body = CallBody::Form(vec![("a".into(), "end".into())]);
    call
}

#[tokio::test]
async fn a_request_on_the_wire_has_its_length_and_is_not_chunked() {
    let seen = Arc::new(Mutex::new(String::new()));
    let store = Arc::clone(&seen);
    let base = socket(move |request, mut stream| {
        *store.lock().unwrap() = request;
        async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
                .await
                .unwrap();
        }
    })
    .await;
    let account = network_account(base);
    let answer = account.write(&ending_call(write_call()), decode).await;
    assert_eq!(answer.unwrap(), OK);
    let request = seen.lock().unwrap().to_lowercase();
    assert!(
        request.starts_with("post /v1/groups/save http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    assert!(
        !request.contains("transfer-encoding") && !request.contains("expect:"),
        "{request}"
    );
    assert!(request.contains("user-agent: rosterd/"), "{request}");
    assert_eq!(request.matches("content-length").count(), 1, "{request}");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_write_unknown() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"] {
        let base = socket(move |_, mut stream| async move {
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let account = network_account(base);
        let error = account
            .write(&ending_call(write_call()), decode)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                CallError::OutcomeUnknown {
                    problem: Problem::ConnectionBroken(_),
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_leaves_a_write_undone() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", free.local_addr().unwrap())).unwrap();
    drop(free);
    let account = network_account(base);
    let mut call = write_call();
    call.query = vec![("email".into(), "hush@example.org".into())];
    let error = account.write(&call, decode).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Network {
                problem: Problem::NotConnected { .. },
                attempts: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.may_have_been_done());
    let port = account.inner.options.base_url.port().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "mail: groups/save got no answer in 1 attempt (no connection: 127.0.0.1:{port} refuses connections); \
             check base_url, the network and the provider's status page, then try again"
        )
    );
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("http://") && !shown.contains("hush"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_local_router_sees_what_a_server_would_see() {
    let router = Router::new().route(
        "/v1/groups/search",
        axum::routing::post(|headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["host"], "api.example.org");
            assert_eq!(headers["content-length"], body.len().to_string());
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(&body[..], b"{\"page\":1}");
            OK
        }),
    );
    let mut call = read_call();
    call.body = CallBody::Json(b"{\"page\":1}".to_vec());
    let read = account(router)
        .read(&call, |reply| {
            assert_eq!(
                reply.content_type.as_deref(),
                Some("text/plain; charset=utf-8")
            );
            let mut text = String::new();
            reply.body.reader().read_to_string(&mut text).unwrap();
            Ok(text)
        })
        .await;
    assert_eq!(read.unwrap(), OK);
}

#[test]
fn a_certificate_file_must_exist_and_hold_certificates() {
    let missing = NetworkOptions {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..NetworkOptions::default()
    };
    let error = Transport::network(&missing).unwrap_err();
    assert!(matches!(error, TransportError::CaFile { .. }), "{error}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not a certificate").unwrap();
    let wrong = NetworkOptions {
        ca_file: Some(file.path().to_owned()),
        ..NetworkOptions::default()
    };
    let error = Transport::network(&wrong).unwrap_err();
    assert!(matches!(error, TransportError::CaFormat { .. }), "{error}");
}

/// Twenty thousand times the letter x, compressed with gzip.
const COMPRESSED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00,
    0x00, 0xc2, 0xa0, 0xda, 0x8b, 0x6f, 0x0d, 0x0f, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x78, 0x30, 0x03, 0x47,
    0x65, 0x41, 0x20, 0x4e, 0x00, 0x00,
];

#[tokio::test]
async fn the_cap_counts_what_compression_hides() {
    let base = socket(|_, mut stream| async move {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", COMPRESSED.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(COMPRESSED).await.unwrap();
    })
    .await;
    let account = network_account(base);
    let mut call = ending_call(read_call());
    let length = account.read(&call, |reply| Ok(reply.body.len())).await;
    assert_eq!(length.unwrap(), 20_000);
    call.max_body = Some(19_999);
    let error = account.read(&call, decode).await.unwrap_err();
    assert!(
        matches!(error, CallError::TooLarge { limit: 19_999, .. }),
        "{error}"
    );
}

/// What a call says whose server does not speak as it should, or is not there.
async fn complaint(base: &str, ca_file: Option<PathBuf>) -> String {
    let transport = Transport::network(&NetworkOptions {
        ca_file,
        ..NetworkOptions::default()
    })
    .unwrap();
    let mut options = AccountOptions::new("mail", Url::parse(base).unwrap(), transport);
    options.max_retries = 0;
    let error = Account::new(options)
        .read(&read_call(), decode)
        .await
        .unwrap_err();
    let said = error.to_string();
    for fragment in [
        "error sending request",
        "client error",
        "tcp connect error",
        "os error",
        "rustls",
        "peer",
        "://",
        "Connect",
    ] {
        assert!(!said.contains(fragment), "{fragment}: {said}");
    }
    said
}

/// A server that answers whatever comes with the same bytes and leaves.
async fn mumbling(bytes: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 64];
            let _read = stream.read(&mut greeting).await;
            let _written = stream.write_all(bytes).await;
            let _ended = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_named() {
    // A label of more than 63 letters is no name anywhere, so that nobody is asked for it.
    let host = format!("{}.test", "a".repeat(64));
    let said = complaint(&format!("http://{host}/v1"), None).await;
    assert_eq!(
        said,
        format!(
            "mail: groups/search got no answer in 1 attempt (no connection: the name {host} is not known); \
             check base_url, the proxy, and how this machine resolves names, then try again"
        )
    );
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_told_from_one_that_is_away() {
    let address = mumbling(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    let said = complaint(&format!("https://{address}/v1"), None).await;
    assert!(
        said.contains(&format!("(no connection: what answers at {address} does not speak TLS); check the scheme and the port")),
        "{said}"
    );
    let said = complaint(&format!("http://{address}/v1"), None).await;
    assert!(
        said.contains(&format!(
            "(the connection broke: what answers at {address} does not speak HTTP)"
        )),
        "{said}"
    );
    let address = mumbling(b"").await;
    let said = complaint(&format!("https://{address}/v1"), None).await;
    assert!(
        said.contains(&format!(
            "(no connection: {address} ended the connection before it was set up)"
        )),
        "{said}"
    );
    let address = mumbling(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope").await;
    let said = complaint(&format!("http://{address}/v1"), None).await;
    assert!(
        said.contains("(the connection broke: ") && said.contains("127.0.0.1"),
        "{said}"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_until_the_authority_is_named() {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let fixture = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/tls")
            .join(name)
    };
    let chain = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await;
            let _written = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                .await;
            let _ended = stream.shutdown().await;
        }
    });
    let said = complaint(&format!("https://{address}/v1"), None).await;
    assert_eq!(
        said,
        "mail: groups/search got no answer in 1 attempt (no connection: the certificate of 127.0.0.1 is not accepted because \
         no authority that is trusted here issued it); check base_url and the clock, and set ca_file if the certificate comes \
         from an authority of your own, then try again"
    );
    let ca_file = Some(fixture("authority.pem"));
    let transport = Transport::network(&NetworkOptions {
        ca_file: ca_file.clone(),
        ..NetworkOptions::default()
    })
    .unwrap();
    let account = Account::new(AccountOptions::new(
        "mail",
        Url::parse(&format!("https://{address}/v1")).unwrap(),
        transport,
    ));
    assert_eq!(account.read(&read_call(), decode).await.unwrap(), OK);
}
