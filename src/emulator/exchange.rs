//! One request from arrival to answer: pace, faults, the provider's own handling, and what may go
//! wrong on the way back.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::Instant;

use super::history::Actor;
use super::misuse::{Misuse, MisuseKind};
use super::oddities::{garble, join, names, overlook};
use super::reply::{Document, Reply};
use super::world::Kind;
use super::{Emulator, Fault, State, activecampaign, emfluence, greenrope};

/// The largest request body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Requests above the pace that are forgiven in each minute, because evenly spaced requests jitter
/// on their way.
const PACE_SLACK: usize = 2;

/// A request as the providers' parts see it.
pub(super) struct Incoming {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) chunked: bool,
}

impl Incoming {
    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

/// Where a request goes, found before anything is judged.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    /// The account's name; empty when the request reaches none.
    pub(super) account: String,
    pub(super) operation: String,
    pub(super) is_write: bool,
}

/// A request on its way through the stages.
pub(super) struct Underway {
    pub(super) kind: Kind,
    pub(super) incoming: Incoming,
    pub(super) target: Target,
    pub(super) context: Context,
}

/// Has a request carried out by its provider.
pub(super) fn answer(state: &mut State, underway: &mut Underway) -> Reply {
    let Underway {
        kind,
        incoming,
        target,
        context,
    } = underway;
    match kind {
        Kind::Emfluence => emfluence::answer(state, incoming, target, context),
        Kind::GreenRope => greenrope::answer(state, incoming, target, context),
        Kind::ActiveCampaign => activecampaign::answer(state, incoming, target, context),
    }
}

/// What travels along while a request is carried out.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) seq: u64,
    pub(super) items: usize,
    /// Items that a fault refused or that failed by themselves.
    pub(super) failed_items: usize,
    pub(super) token_expired: bool,
    /// Whether a fault has a part in the request.
    pub(super) meets_a_fault: bool,
    fail_every: Vec<usize>,
    poison: Vec<String>,
    misuse: Vec<(MisuseKind, String)>,
    now: Option<Instant>,
}

impl Context {
    /// Records something the client should not have done.
    pub(super) fn misuse(&mut self, kind: MisuseKind, detail: impl Into<String>) {
        self.misuse.push((kind, detail.into()));
    }

    /// Whether a fault makes the item at this position, counted from 0, fail.
    pub(super) fn item_fails(&self, position: usize) -> bool {
        self.fail_every
            .iter()
            .any(|every| *every > 0 && (position + 1).is_multiple_of(*every))
    }

    /// Whether a fault makes this address or id spoil the whole request.
    pub(super) fn is_poison(&self, key: &str) -> bool {
        self.poison
            .iter()
            .any(|poison| poison.eq_ignore_ascii_case(key.trim()))
    }

    /// The moment of arrival by the runtime's clock, for the life of tokens.
    pub(super) fn instant(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }
}

/// Requests in flight and recent arrivals, per account.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    accounts: BTreeMap<String, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    writes_in_flight: usize,
    arrivals: VecDeque<Instant>,
}

/// Counts a request as in flight until it is dropped, even when the client goes away.
struct InFlight {
    emulator: Emulator,
    account: String,
    is_write: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.emulator.lock();
        if let Some(lane) = state.traffic.accounts.get_mut(&self.account) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.writes_in_flight = lane
                .writes_in_flight
                .saturating_sub(usize::from(self.is_write));
        }
    }
}

/// Takes a request through all its stages.
pub(super) async fn exchange(emulator: Emulator, kind: Kind, request: Request) -> Response {
    let incoming = match read(request).await {
        Ok(incoming) => incoming,
        Err(response) => return response,
    };
    let now = Instant::now();
    let (target, context, faults, pause) = {
        let mut state = emulator.lock();
        state.arrive(
            kind,
            &incoming,
            now,
            now.duration_since(emulator.inner.started),
        )
    };
    let flight = InFlight {
        emulator: emulator.clone(),
        account: target.account.clone(),
        is_write: target.is_write,
    };

    if let Some(seconds) = pause {
        emulator.settle(&target, &context, StatusCode::TOO_MANY_REQUESTS, "too fast");
        let mut response = too_many_requests(Some(seconds));
        if kind == Kind::ActiveCampaign {
            let limit = emulator
                .lock()
                .world
                .find_account(&target.account)
                .and_then(|account| account.settings.requests_per_second);
            response
                .headers_mut()
                .insert("ratelimit-limit", limit.unwrap_or(0).into());
            response
                .headers_mut()
                .insert("ratelimit-remaining", 0.into());
        }
        return response;
    }
    for fault in &faults {
        if let Fault::Latency(duration) = fault {
            tokio::time::sleep(*duration).await;
        }
    }
    for fault in &faults {
        if let Some(response) = before_effect(fault, &incoming) {
            emulator.settle(
                &target,
                &context,
                response.status(),
                &format!("fault: {}", fault.name()),
            );
            return response;
        }
    }

    let mut underway = Underway {
        kind,
        incoming,
        target,
        context,
    };
    let late = faults.iter().find_map(|fault| match fault {
        Fault::LateEffect(delay) => Some(*delay),
        _ => None,
    });
    if let Some(delay) = late {
        let Underway {
            target, context, ..
        } = &underway;
        emulator.settle(
            target,
            context,
            StatusCode::GATEWAY_TIMEOUT,
            "fault: late_effect",
        );
        if target.is_write {
            emulator.lock().late.add(Instant::now() + delay, underway);
        }
        return (StatusCode::GATEWAY_TIMEOUT, "The service takes too long.").into_response();
    }

    for fault in &faults {
        if let Fault::IgnoredParameter(name) = fault
            && !underway.target.is_write
        {
            overlook(&mut underway.incoming, name);
        }
    }
    let mut reply = {
        let mut state = emulator.lock();
        state.world.sync_clock();
        for fault in &faults {
            if let Fault::Turnover | Fault::SignUp = fault
                && state.world.find_account(&underway.target.account).is_some()
            {
                state.kept.clear();
                let account = state.world.account_mut(&underway.target.account);
                join(account, underway.context.seq, *fault == Fault::Turnover);
                state.drain(Actor::Person);
            }
        }
        let now = Instant::now();
        state.work_off(now);
        let lag = faults.iter().find_map(|fault| match fault {
            Fault::LaggingRead(lag) if !underway.target.is_write => Some(*lag),
            _ => None,
        });
        #[expect(clippy::single_match_else, reason = "two ways of equal rank")]
        match lag {
            Some(lag) => state.in_the_past(now, lag, |state| answer(state, &mut underway)),
            None => {
                if underway.target.is_write {
                    state.keep_past(now);
                    state.kept.forget(&underway.target.account);
                }
                let reply = answer(&mut state, &mut underway);
                state.drain(Actor::Request(underway.context.seq));
                reply
            }
        }
    };
    let Underway {
        target, context, ..
    } = underway;
    let mut outcome = std::mem::take(&mut reply.outcome);
    for fault in &faults {
        match fault {
            Fault::WrongCount(by) => reply.document.shift_counts(*by),
            Fault::MissingList => reply.document.remove_lists(),
            Fault::ShortPage => reply.document.shorten(),
            Fault::SlowAnswer(_)
            | Fault::Turnover
            | Fault::SignUp
            | Fault::IgnoredParameter(_)
            | Fault::Garbled { .. }
            | Fault::ResetAfterEffect
            | Fault::TruncatedBody
            | Fault::EmptyBody
            | Fault::LaggingRead(_)
            | Fault::SlowDrip { .. } => {}
            _ => continue,
        }
        outcome = format!("fault: {} after {outcome}", fault.name());
    }
    emulator.settle(&target, &context, reply.status, &outcome);
    for fault in &faults {
        if let Fault::SlowAnswer(duration) = fault {
            tokio::time::sleep(*duration).await;
        }
    }
    write_out(&reply, &faults, Some(flight))
}

async fn read(request: Request) -> Result<Incoming, Response> {
    let (parts, body) = request.into_parts();
    // In process no length header is written, but the body knows its length.
    let declared = parts.headers.contains_key(header::TRANSFER_ENCODING);
    let chunked = declared
        || (!parts.headers.contains_key(header::CONTENT_LENGTH)
            && body.size_hint().exact().is_none());
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return Err((StatusCode::BAD_REQUEST, "The body could not be read.").into_response());
    };
    Ok(Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
        chunked,
    })
}

impl State {
    fn arrive(
        &mut self,
        kind: Kind,
        incoming: &Incoming,
        now: Instant,
        since_start: Duration,
    ) -> (Target, Context, Vec<Fault>, Option<u64>) {
        let step = self.world.clock.step;
        self.world.clock.advance(step);
        self.world.sync_clock();
        self.last_request += 1;
        let target = match kind {
            Kind::Emfluence => emfluence::target(&self.world, incoming),
            Kind::GreenRope => greenrope::target(&self.world, incoming),
            Kind::ActiveCampaign => activecampaign::target(&self.world, incoming),
        };
        let mut context = Context {
            seq: self.last_request,
            items: 1,
            now: Some(now),
            ..Context::default()
        };
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        let at = self.world.clock.now;
        self.requests.begin(context.seq, kind, &target, at, millis);

        let lane = self
            .traffic
            .accounts
            .entry(target.account.clone())
            .or_default();
        lane.in_flight += 1;
        lane.writes_in_flight += usize::from(target.is_write);
        lane.forget_old(now);
        let mut pause = None;
        if let Some(account) = self.world.find_account(&target.account) {
            if lane.in_flight > account.settings.max_in_flight {
                context.misuse(
                    MisuseKind::TooManyInFlight,
                    format!("{} requests", lane.in_flight),
                );
            }
            // ActiveCampaign takes two requests at a time and says nothing against two changes.
            if target.is_write && lane.writes_in_flight > 1 && kind != Kind::ActiveCampaign {
                context.misuse(
                    MisuseKind::ConcurrentWrites,
                    format!("{} changes", lane.writes_in_flight),
                );
            }
            if let Some(limit) = account.settings.requests_per_minute {
                pause = lane.pace(now, Duration::from_mins(1), limit as usize + PACE_SLACK);
                if pause.is_some() {
                    context.misuse(
                        MisuseKind::TooFast,
                        format!("more than {limit} requests in a minute"),
                    );
                }
            }
            if let Some(limit) = account
                .settings
                .requests_per_second
                .filter(|_| pause.is_none())
            {
                pause = lane.pace(now, Duration::from_secs(1), limit as usize);
                if pause.is_some() {
                    context.misuse(
                        MisuseKind::TooFast,
                        format!("more than {limit} requests in a second"),
                    );
                }
            }
            if pause.is_none() {
                lane.arrivals.push_back(now);
            }
        }

        // Recorded at once: a client that goes away never gets to the end.
        let arrival = std::mem::take(&mut context.misuse);
        self.blame(&target, context.seq, arrival);

        let faults = self.faults.strike(&target.account, kind, &target.operation);
        context.meets_a_fault = !faults.is_empty();
        for fault in &faults {
            match fault {
                Fault::PartialBatchFailure { every } => context.fail_every.push(*every),
                Fault::PoisonItem(key) => context.poison.push(key.trim().to_owned()),
                Fault::ExpiredToken => context.token_expired = true,
                _ => {}
            }
        }
        (target, context, faults, pause)
    }

    /// Records what a request should not have done.
    fn blame(&mut self, target: &Target, seq: u64, misuse: Vec<(MisuseKind, String)>) {
        self.misuse
            .extend(misuse.into_iter().map(|(kind, detail)| Misuse {
                request: seq,
                account: target.account.clone(),
                operation: target.operation.clone(),
                kind,
                detail,
            }));
    }
}

impl Lane {
    /// Forgets the arrivals that no pace counts any more.
    fn forget_old(&mut self, now: Instant) {
        while self
            .arrivals
            .front()
            .is_some_and(|arrival| now.duration_since(*arrival) >= Duration::from_mins(1))
        {
            self.arrivals.pop_front();
        }
    }

    /// Returns how many seconds the client has to wait if so many requests arrived in a period that
    /// ends now.
    fn pace(&self, now: Instant, period: Duration, limit: usize) -> Option<u64> {
        let recent = self
            .arrivals
            .iter()
            .rev()
            .take_while(|arrival| now.duration_since(**arrival) < period)
            .count();
        if recent < limit {
            return None;
        }
        let oldest = self
            .arrivals
            .get(self.arrivals.len() - recent)
            .copied()
            .unwrap_or(now);
        Some((period.saturating_sub(now.duration_since(oldest))).as_secs() + 1)
    }
}

impl Emulator {
    /// Writes the end of a request into the log.
    fn settle(&self, target: &Target, context: &Context, status: StatusCode, outcome: &str) {
        let mut state = self.lock();
        state.requests.end(context, status.as_u16(), outcome);
        state.blame(target, context.seq, context.misuse.clone());
    }
}

fn before_effect(fault: &Fault, incoming: &Incoming) -> Option<Response> {
    match fault {
        Fault::CrashesOn(address) if names(incoming, address) => {
            let text = "The service failed.";
            Some((StatusCode::INTERNAL_SERVER_ERROR, text).into_response())
        }
        Fault::TooManyRequests { retry_after } => Some(too_many_requests(*retry_after)),
        Fault::ServerError(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some((status, "The service is not available.").into_response())
        }
        Fault::ResetBeforeEffect => Some(Response::new(broken(Vec::new()))),
        Fault::HtmlWith200 => Some(
            (
                [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
                "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><p>We will be back soon.</p></body></html>",
            )
                .into_response(),
        ),
        _ => None,
    }
}

fn too_many_requests(retry_after: Option<u64>) -> Response {
    let mut response = (StatusCode::TOO_MANY_REQUESTS, "Too many requests.").into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A body that breaks off after the given bytes.
fn broken(start: Vec<u8>) -> Body {
    let reset = io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the emulator broke the connection",
    );
    Body::from_stream(stream::iter([Ok(Bytes::from(start)), Err(reset)]))
}

fn write_out(reply: &Reply, faults: &[Fault], mut flight: Option<InFlight>) -> Response {
    if let Document::Xml(node) = &reply.document
        && faults.is_empty()
        && let Some((length, body)) = node.stream()
    {
        let mut response = Response::new(body);
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static(reply.document.content_type()),
        );
        return response;
    }
    let mut bytes = reply.document.render();
    let mut body = None;
    for fault in faults {
        match fault {
            Fault::EmptyBody => bytes.clear(),
            Fault::Garbled { text, with } => garble(&mut bytes, &reply.document, text, *with),
            Fault::TruncatedBody => bytes.truncate(bytes.len() * 2 / 3),
            Fault::ResetAfterEffect => {
                bytes.truncate(bytes.len() / 2);
                body = Some(broken(bytes.clone()));
            }
            Fault::SlowDrip { bytes: size, pause } => {
                body = Some(drip(
                    bytes.clone(),
                    (*size).max(1),
                    Duration::from_millis(*pause),
                    flight.take(),
                ));
            }
            _ => {}
        }
    }
    let body = body.unwrap_or_else(|| Body::from(bytes));
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(reply.document.content_type()),
    );
    response
}

/// A body in pieces. A dripping answer outlives the call that makes it, so the request stays in
/// flight with it.
fn drip(bytes: Vec<u8>, size: usize, pause: Duration, flight: Option<InFlight>) -> Body {
    let pieces = stream::unfold(
        (Bytes::from(bytes), flight),
        move |(mut rest, flight)| async move {
            if rest.is_empty() {
                return None;
            }
            tokio::time::sleep(pause).await;
            let piece = rest.split_to(size.min(rest.len()));
            Some((Ok::<_, io::Error>(piece), (rest, flight)))
        },
    );
    Body::from_stream(pieces)
}
