//! Connections that changed their protocol: bytes both ways, until either side has had enough.

use super::room::Place;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::copy_bidirectional_with_sizes;
use tokio_util::sync::CancellationToken;

/// Bytes on their way in each direction: what WebSockets say is short, and a reader that is slower
/// than its writer holds up the writer and not our memory.
const BUFFER: usize = 16 * 1024;

/// Joins a client and the origin once both have changed. Nobody can know when such a talk would end,
/// so it ends at once when we do: its client is made to come back.
pub(super) async fn join(
    client: OnUpgrade,
    origin: OnUpgrade,
    closing: CancellationToken,
    place: Arc<Place>,
) {
    let talk = async {
        let (client, origin) = tokio::try_join!(client, origin)?;
        copy(client, origin).await;
        Ok::<_, hyper::Error>(())
    };
    if let Some(Err(error)) = closing.run_until_cancelled(talk).await {
        tracing::debug!(%error, "a change of protocol came to nothing");
    }
    drop(place); // the client's, taken as long as this was
}

async fn copy(client: Upgraded, origin: Upgraded) {
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    let copied = copy_bidirectional_with_sizes(&mut client, &mut origin, BUFFER, BUFFER).await;
    if let Err(error) = copied {
        tracing::debug!(%error, "a tunnel broke"); // both sides see it closed
    }
}
