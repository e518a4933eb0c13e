//! A fetch that no client waits for: for all who come to read.

use crate::asked::Asked;
use crate::claim::{self, Claimed};
use crate::fill::Fill;
use crate::flights::{self, Landing, Lead};
use crate::head::Head;
use crate::key::CacheKey;
use crate::live::Live;
use crate::look::{Kept, Place};
use crate::store::Taken;
use std::sync::Arc;
use tokio::time::Instant;

/// A fill for nobody in particular: nothing that is kept stands in for it, and nobody hears what comes before its
/// answer. What is softly dropped is fetched as if it were not there.
pub(super) fn fill(
    live: &Arc<Live>,
    head: &Head,
    asked: &Arc<Asked>,
    place: &Place,
    kept: Option<&Kept>,
) -> Fill {
    Fill {
        live: live.clone(),
        asked: asked.clone(),
        vary: place.vary.clone(),
        snapshot: place.snapshot.clone(),
        reach: place.reach,
        kept: kept
            .filter(|kept| !kept.is_softened())
            .map(|kept| kept.entry.clone()),
        part: None,
        range: None,
        stands_in_for: &[],
        forwarding: head.forwarding().clone(),
        trace: *head.trace(),
        own: None,
        claim: None,
        on_behalf: None,
        interim: None,
    }
}

/// Fetches it, unless another sidecar does: what came of it. The fleet's lock may have been `taken` along with the
/// snapshot.
pub(super) async fn fetch(
    mut fill: Fill,
    key: Arc<CacheKey>,
    (lead, taken): (Lead, Option<Taken>),
) -> Landing {
    let patience = Instant::now() + fill.live.table.proxy.origin_timeout;
    let (waiting, snapshot) = (lead.waiting(), fill.snapshot.clone());
    let (what, who) = ((&*key, &snapshot), (&lead, taken));
    match claim::claim(&fill.live, &fill.asked, what, who, patience).await {
        Claimed::Fetch(claim) => {
            fill.claim = claim;
            drop(fill.begin(Some(lead)).await); // the answer itself is nobody's: it is kept, or was for nothing
            flights::landed(waiting).await
        }
        Claimed::Landed(landing) => {
            lead.land(landing.clone());
            landing
        }
        Claimed::Again => Landing::Lost,
    }
}
