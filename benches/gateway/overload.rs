//! More callers than a gateway has places: what still gets done, and how soon the others learn that they must wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::load;

/// Rest of a refused caller: far less than it is told to wait, so that refusing is work as well.
const REST: Duration = Duration::from_millis(50);

/// What came of one load.
#[derive(Default)]
pub struct Outcome {
    /// Calls answered in full.
    pub served: usize,
    /// How long each refusal took.
    pub refusals: Vec<Duration>,
}

/// Lets `callers` call again and again for `time`. Any answer but 200, 429 and 503 is an error.
pub async fn drive(
    address: SocketAddr,
    callers: usize,
    request: &Arc<[u8]>,
    time: Duration,
) -> io::Result<Outcome> {
    let connections = load::open(address, callers).await?;
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let request = Arc::clone(request);
        tasks.spawn(async move {
            let mut outcome = Outcome::default();
            while Instant::now() < end {
                let asked = Instant::now();
                match connection.ask(&request).await? {
                    (200, _) if Instant::now() < end => outcome.served += 1,
                    (200, _) => {}
                    (429 | 503, _) => {
                        outcome.refusals.push(asked.elapsed());
                        tokio::time::sleep(REST).await;
                    }
                    (status, _) => return Err(io::Error::other(format!("it answered {status}"))),
                }
            }
            Ok(outcome)
        });
    }
    let outcomes = load::outcomes(tasks).await?;
    Ok(outcomes.into_iter().fold(Outcome::default(), |mut sum, it| {
        sum.served += it.served;
        sum.refusals.extend(it.refusals);
        sum
    }))
}
