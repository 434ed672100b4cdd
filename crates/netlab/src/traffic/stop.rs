//! One signal that ends every wait of every thread at once.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

/// Stops all holders of its [`Stop`] when it is dropped.
#[derive(Debug)]
pub(super) struct StopHandle {
    _other_end: UnixStream,
}

/// Readable, for ever, once the handle is dropped.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<UnixStream>);

/// Why a thread does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    Stopped,
    Failed(io::Error),
}

impl From<io::Error> for Halt {
    fn from(cause: io::Error) -> Self {
        Self::Failed(cause)
    }
}

impl From<rustix::io::Errno> for Halt {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Failed(errno.into())
    }
}

pub(super) fn pair() -> io::Result<(StopHandle, Stop)> {
    let (handle, stop) = UnixStream::pair()?;
    Ok((StopHandle { _other_end: handle }, Stop(Arc::new(stop))))
}

impl Stop {
    /// Waits this long.
    pub(super) fn rest(&self, time: Duration) -> Result<(), Halt> {
        self.poll(&mut [self.watch()], Some(time)).map(drop)
    }

    /// Waits until the socket is ready; too long is a failure.
    pub(super) fn ready(
        &self,
        socket: &impl AsFd,
        flags: PollFlags,
        patience: Duration,
    ) -> Result<(), Halt> {
        match self.poll(
            &mut [self.watch(), PollFd::new(socket, flags)],
            Some(patience),
        )? {
            0 => Err(Halt::Failed(io::ErrorKind::TimedOut.into())),
            _ => Ok(()),
        }
    }

    /// To be the first in every list that is polled.
    pub(super) fn watch(&self) -> PollFd<'_> {
        PollFd::new(&*self.0, PollFlags::IN)
    }

    /// Waits until one of these is ready, and says how many are; [`Stop::watch`] must be the first of them.
    pub(super) fn poll(
        &self,
        sockets: &mut [PollFd<'_>],
        time: Option<Duration>,
    ) -> Result<usize, Halt> {
        let timeout = time
            .map(Timespec::try_from)
            .transpose()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let ready = retry_on_intr(|| poll(sockets, timeout.as_ref()))?;
        match sockets.first() {
            Some(first) if !first.revents().is_empty() => Err(Halt::Stopped),
            _ => Ok(ready),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn dropping_the_handle_ends_a_rest_at_once() {
        let (handle, stop) = pair().unwrap();
        let start = Instant::now();
        let resting = std::thread::spawn(move || stop.rest(Duration::from_secs(60)));
        drop(handle);
        assert!(matches!(resting.join().unwrap(), Err(Halt::Stopped)));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_rest_that_is_not_disturbed_ends_by_itself() {
        let (_handle, stop) = pair().unwrap();
        assert!(stop.rest(Duration::from_millis(1)).is_ok());
    }
}
