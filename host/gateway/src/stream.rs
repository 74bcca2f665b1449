//! A stream on its way to the client: metered event by event, cut when a switch says so, settled when it ends in whatever way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, Sleep};
use tollgate_core::{Switch, Usage};

use crate::attended::Watched;
use crate::bell::TELLING;
use crate::formats::{Meter, Metered, NextAction, Problem};
use crate::http::{Body, Broken};
use crate::pool::Arriving;
use crate::settle::{Ended, Exchange, Used};
use crate::upstream::Place;
use crate::{Gateway, Times};
use crate::{clock, verdict};

/// Pieces between the upstream and a client that reads slowly; beyond it the upstream waits.
const PIECES: usize = 16;
/// Pieces that go on with one that came before them; beyond it the client waits no longer.
const GATHERED: usize = 32;

/// A stream whose pieces come from a task of ours.
struct Piped(mpsc::Receiver<Bytes>);

impl HttpBody for Piped {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// How a stream came to its end.
enum End {
    /// The upstream closed it.
    Closed,
    /// The upstream has said all, and has not closed it yet.
    Over,
    /// The upstream's connection broke, or what came was no stream of events.
    Broke,
    /// Nothing came for too long, or it all took too long.
    Stalled,
    /// The client has left.
    ClientLeft,
    /// A switch cut it.
    Cut(Switch),
    /// A kill switch or a ceiling says that it must not go on.
    Stopped(Problem),
    /// The gateway is ending.
    Ending,
}

/// Passes a stream on. The body ends when the stream does; the settlement does not depend on anyone reading it. What has come with the
/// answer's head goes on with it: a stream that is whole by then needs no task.
pub(crate) async fn pass_on(gateway: &Arc<Gateway>, mut exchange: Exchange, upstream: Arriving, place: Place) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let task = Arc::clone(gateway);
    let open = gateway.telemetry.stream();
    let mut passing = Box::pin(async move {
        let _open = open;
        let mut meter = Meter::new(exchange.call.request.endpoint, exchange.call.request.usage_chunk());
        let mut upstream = upstream;
        let end = pump(&task, &mut exchange, (&mut upstream, place.backend().times), &mut meter, &sender).await;
        finish(&task, (exchange, upstream), &mut meter, place, &end, sender).await;
    });
    if poll_fn(|context| Poll::Ready(passing.as_mut().poll(context))).await.is_pending() {
        gateway.tasks.spawn(passing);
    }
    Piped(receiver).boxed_unsync()
}

/// Moves pieces until something ends it.
async fn pump(
    gateway: &Gateway,
    exchange: &mut Exchange,
    (upstream, times): (&mut Arriving, Times),
    meter: &mut Meter,
    sender: &mpsc::Sender<Bytes>,
) -> End {
    let (mut watched, candidate, covered) = (Watched::default(), exchange.candidate, exchange.covered());
    let cut = gateway.cut(&covered, &candidate);
    let (ending, left) = (gateway.ending.cancelled(), sender.closed());
    let whole = tokio::time::sleep(times.whole);
    tokio::pin!(cut, ending, left, whole);
    let mut silence = Silence::new(times.between_pieces);
    loop {
        let frame = tokio::select! {
            biased;
            switch = &mut cut => return End::Cut(switch),
            () = &mut ending => return End::Ending,
            () = &mut left => return End::ClientLeft,
            () = &mut whole => return End::Stalled,
            frame = upstream.frame() => frame,
            () = silence.lasts_too_long() => return End::Stalled,
        };
        silence.broken();
        let piece = match frame {
            None => return End::Closed,
            Some(Err(_)) => return End::Broke,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        if meter.feed(&piece).is_err() {
            return End::Broke;
        }
        if let Some(end) = gather(upstream, meter).await {
            return end;
        }
        if let Some(problem) = watched.look(gateway, exchange, meter) {
            return End::Stopped(problem);
        }
        let shown = meter.shown();
        if !shown.is_empty() {
            match sender.try_send(shown) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return End::ClientLeft,
                // A client that does not read must not keep a switch from closing the upstream.
                Err(TrySendError::Full(shown)) => tokio::select! {
                    biased;
                    switch = &mut cut => return End::Cut(switch),
                    () = &mut ending => return End::Ending,
                    () = &mut whole => return End::Stalled,
                    sent = sender.send(shown) => if sent.is_err() { return End::ClientLeft },
                },
            }
        }
    }
}

/// How long nothing has come. Its timer is set anew when it has run down, and not for each piece.
struct Silence {
    timer: Pin<Box<Sleep>>,
    longest: Duration,
    since: Instant,
}

impl Silence {
    fn new(longest: Duration) -> Self {
        Self { timer: Box::pin(tokio::time::sleep(longest)), longest, since: Instant::now() }
    }

    fn broken(&mut self) {
        self.since = Instant::now();
    }

    async fn lasts_too_long(&mut self) {
        loop {
            self.timer.as_mut().await;
            let end = self.since + self.longest;
            if Instant::now() >= end {
                return;
            }
            self.timer.as_mut().reset(end);
        }
    }
}

/// Adds to a piece what has come since: where tokens come faster than they are passed on, one write carries many. It waits for
/// nothing, and says when it came upon the end. What the end came with is still the meter's.
async fn gather(upstream: &mut Arriving, meter: &mut Meter) -> Option<End> {
    for _ in 0..GATHERED {
        match poll_fn(|context| Poll::Ready(Pin::new(&mut *upstream).poll_frame(context))).await {
            Poll::Ready(Some(Ok(frame)))
                if meter.feed(frame.data_ref().map(Bytes::as_ref).unwrap_or_default()).is_ok() => {}
            Poll::Ready(None) => return Some(End::Closed),
            Poll::Pending => break,
            // What breaks behind the end breaks nothing.
            Poll::Ready(Some(_)) if meter.is_over() => break,
            Poll::Ready(Some(_)) => return Some(End::Broke),
        }
    }
    meter.is_over().then_some(End::Over)
}

/// How long an upstream may take to close what is over. Its connection is closed after that, which costs the next call a new one.
const CLOSING: Duration = Duration::from_secs(1);

/// Waits for the upstream to close an answer that is over, so that its connection carries the next one.
async fn await_close(gateway: &Gateway, mut upstream: Arriving) {
    tokio::select! {
        () = gateway.ending.cancelled() => {}
        // What comes is no part of a stream any more.
        _ = tokio::time::timeout(CLOSING, upstream.frame()) => {}
    }
}

/// How long a cut stream's settlement leaves the processors to the connections of those that are cut with it, and to their clients. What
/// is held for it stays held meanwhile.
const AFTER_A_CUT: Duration = Duration::from_millis(50);

/// Settles, and tells the client what ended its stream where it was not the provider.
async fn finish(
    gateway: &Gateway,
    (exchange, upstream): (Exchange, Arriving),
    meter: &mut Meter,
    place: Place,
    end: &End,
    sender: mpsc::Sender<Bytes>,
) {
    let patience = gateway.settings.times.last_word;
    match problem(gateway, end) {
        None => {
            note_health(&place, end);
            drop(place);
            let used = used(&exchange, meter.metered());
            // An end that the provider made is settled before the client sees it, so whoever has seen one finds its cost in the ledger.
            let posted = exchange.post(gateway, used, ended(end));
            let shown = meter.shown();
            // Whatever the provider left over goes on as it came; where it is over, the line has its whole end.
            let rest = if matches!(end, End::Over) { meter.separator().into() } else { meter.rest() };
            let showing = async {
                // Its connection writes the end before.
                tokio::task::yield_now().await;
                posted.show(gateway);
            };
            tokio::join!(say(sender, [shown, rest], patience), showing);
            if matches!(end, End::Over) {
                await_close(gateway, upstream).await;
            }
        }
        Some(problem) => {
            let problem = verdict::with_decision(problem, &exchange.call);
            let event = problem.event(exchange.call.request.endpoint, meter.next_number());
            let last = [meter.shown(), meter.separator().into(), event];
            // That goes out first: a cut reaches hundreds of streams at once, and none of them waits for what is to be done about the
            // others.
            let settled = async {
                let is_cut = matches!(end, End::Cut(_));
                exchange.call.observed.broke(problem.code);
                if is_cut {
                    gateway.telemetry.cut();
                    tokio::time::sleep(TELLING).await;
                }
                drop(upstream);
                note_health(&place, end);
                drop(place);
                if is_cut {
                    tokio::time::sleep(AFTER_A_CUT).await;
                }
                let used = used(&exchange, meter.metered());
                exchange.settle(gateway, used, ended(end));
            };
            tokio::join!(say(sender, last, patience), settled);
        }
    }
}

/// How it ended, for the task.
const fn ended(end: &End) -> Ended {
    match end {
        End::Closed | End::Over => Ended::Answered,
        End::Broke => Ended::Unavailable,
        End::Stalled => Ended::TimedOut,
        End::ClientLeft | End::Cut(_) | End::Stopped(_) | End::Ending => Ended::Stopped,
    }
}

fn note_health(place: &Place, end: &End) {
    match end {
        End::Closed | End::Over => place.backend().answered(),
        End::Broke | End::Stalled => place.backend().failed(clock::now_ms(), None),
        End::ClientLeft | End::Cut(_) | End::Stopped(_) | End::Ending => {}
    }
}

/// What the client is told, where it was not the provider that ended the stream and somebody is there to hear it.
fn problem(gateway: &Gateway, end: &End) -> Option<Problem> {
    Some(match end {
        End::Closed | End::Over | End::ClientLeft => return None,
        End::Broke => Problem::new(502, "upstream-broke", "the provider's stream broke off", NextAction::Stop),
        End::Stalled => Problem::new(504, "upstream-stalled", "the provider stopped sending", NextAction::Stop),
        End::Stopped(problem) => problem.clone(),
        End::Cut(switch) => verdict::switched_off(gateway, switch, clock::now_ms()),
        End::Ending => Problem::new(503, "ending", "the gateway is ending", NextAction::RetryAfter(1)),
    })
}

/// The last pieces, after which the body ends. Whoever does not take them in time sees its connection end.
async fn say(sender: mpsc::Sender<Bytes>, last: impl IntoIterator<Item = Bytes>, patience: Duration) {
    let sent = async {
        for piece in last.into_iter().filter(|piece| !piece.is_empty()) {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(patience, sent).await;
}

/// What a stream used: as told, else the input as told or estimated and the output as counted.
fn used(exchange: &Exchange, metered: Metered) -> Used {
    if let Some(usage) = metered.usage {
        return Used::Exact(usage, metered.tier);
    }
    let estimated = Usage { uncached_input: exchange.call.input_tokens(), ..Usage::default() };
    let input = metered.input.unwrap_or(estimated);
    Used::Counted(Usage { output: metered.counted_output, reasoning: 0, ..input }, metered.tier)
}
