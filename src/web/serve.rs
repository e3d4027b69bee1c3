//! The listener, the connections and what bounds them.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::session::Peer;

/// How long nothing is accepted after the system had no file left for a connection.
const REST: Duration = Duration::from_millis(200);

/// What a connection is told that is one too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What a client may take of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Bytes of a request's head.
    pub(crate) head: usize,
    /// Lines of a request's head.
    pub(crate) lines: usize,
    /// Bytes of a request's body.
    pub(crate) body: usize,
    /// From the end of an answer, or the beginning of a connection, to the end of the next request's
    /// head; how long a connection idles, therefore, and how long a slow one may take.
    pub(crate) head_time: Duration,
    /// From the end of a request's head to its answer.
    pub(crate) request: Duration,
    /// For how long a client may take nothing of an answer that waits for it.
    pub(crate) stall: Duration,
    /// The life of a connection, whatever it does.
    pub(crate) life: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 512,
            head: 16 * 1024,
            lines: 64,
            body: 64 * 1024,
            head_time: Duration::from_secs(20),
            request: Duration::from_secs(30),
            stall: Duration::from_secs(10),
            life: Duration::from_mins(10),
        }
    }
}

/// Takes connections until it is asked to stop, then lets those that are open finish their answer.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_the_client(&error) {
                    tracing::warn!(%error, "No connection can be taken for the moment.");
                    sleep(REST).await;
                }
                continue;
            }
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            turn_away(stream);
            continue;
        };
        // Small answers are not to wait for more to send.
        drop(stream.set_nodelay(true));
        let (routes, stop) = (routes.clone(), stop.clone());
        open.spawn(async move {
            converse(stream, peer, routes, limits, stop).await;
            drop(place);
        });
    }
    open.close();
    open.wait().await;
}

/// Tells one client too many so, as far as that takes no time.
fn turn_away(stream: TcpStream) {
    // The runtime has not heard yet that it can be written to, and would say that it can't.
    if let Ok(mut stream) = stream.into_std() {
        drop(io::Write::write(&mut stream, FULL));
    }
}

/// Tells whether a connection was lost before it was taken, which concerns nobody else.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Answers what comes over one connection.
pub(super) async fn converse<S>(
    stream: S,
    peer: SocketAddr,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let routes = routes.clone();
        async move { routes.oneshot(request.map(Body::new)).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head)
        .max_headers(limits.lines)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = sleep(limits.life) => None,
        () = stop.cancelled() => None,
    };
    // How a client leaves concerns nobody.
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        drop(timeout(limits.request, connection).await);
    }
}

/// A stream that gives a client up that takes nothing for a time.
struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// Runs while something waits to be taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S, patience: Duration) -> Impatient<S> {
        Impatient {
            stream,
            patience,
            waiting: None,
        }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    fn begin(buffer: usize, stop: &CancellationToken) -> (DuplexStream, JoinHandle<()>) {
        let routes = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/long", get(|| async { "x".repeat(1 << 20) }));
        let (client, server) = duplex(buffer);
        let peer = "127.0.0.1:1".parse().unwrap();
        let talk = converse(server, peer, routes, Limits::default(), stop.clone());
        (client, tokio::spawn(talk))
    }

    /// Reads all that comes until the other side is done, and how long that took.
    async fn rest(client: &mut DuplexStream) -> (String, u64) {
        let (began, mut text) = (Instant::now(), Vec::new());
        client.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        (text, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_or_half_of_it_is_left() {
        let stop = CancellationToken::new();
        for said in [&b""[..], &REQUEST[..20]] {
            let (mut client, served) = begin(4096, &stop);
            client.write_all(said).await.unwrap();
            let (text, took) = rest(&mut client).await;
            assert!(!text.contains("200 OK"), "{text}");
            assert_eq!(took, 20);
            served.await.unwrap();
        }
        let (mut client, served) = begin(4096, &stop);
        client.write_all(REQUEST).await.unwrap();
        let (text, took) = rest(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        assert_eq!(took, 20, "an idle connection is left as well");
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_its_request_is_left() {
        let (mut client, served) = begin(4096, &CancellationToken::new());
        let began = Instant::now();
        for byte in REQUEST.iter().cycle() {
            if client.write_all(&[*byte]).await.is_err() || served.is_finished() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        assert!(began.elapsed() <= Duration::from_secs(22));
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_answer_is_left() {
        let (mut client, served) = begin(1024, &CancellationToken::new());
        let request = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let began = Instant::now();
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_lives_for_ever() {
        let (mut client, served) = begin(4096, &CancellationToken::new());
        let began = Instant::now();
        let mut answer = [0; 4096];
        while client.write_all(REQUEST).await.is_ok()
            && client.read(&mut answer).await.is_ok_and(|read| read > 0)
        {
            sleep(Duration::from_secs(7)).await;
        }
        served.await.unwrap();
        let lived = began.elapsed().as_secs();
        assert!((600..=615).contains(&lived), "{lived}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_head_is_refused() {
        for long in [
            format!("X-Long: {}\r\n", "x".repeat(20_000)),
            "X-Many: 1\r\n".repeat(100),
        ] {
            let (mut client, served) = begin(64 * 1024, &CancellationToken::new());
            let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{long}\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let (text, took) = rest(&mut client).await;
            assert!(text.starts_with("HTTP/1.1 431"), "{text}");
            assert_eq!(took, 0);
            served.await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_client_too_many_is_told_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, limits) = (
            CancellationToken::new(),
            Limits {
                connections: 0,
                ..Limits::default()
            },
        );
        let served = tokio::spawn(serve(listener, Router::new(), limits, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 503 "), "{text:?}");
        assert!(text.contains("Retry-After: 5"), "{text}");
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_what_idles_at_once() {
        let stop = CancellationToken::new();
        let (mut client, served) = begin(4096, &stop);
        client.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 4096];
        assert!(client.read(&mut answer).await.unwrap() > 0);
        let began = Instant::now();
        stop.cancel();
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 0);
    }
}
