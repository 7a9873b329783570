//! One SIS session of a radio: the client machine, its pipe, and what is put into the capture file.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::sis::client::SisClient;
use skywave_protocols::s5066::sis::event::SisConfig;
use skywave_protocols::s5066::sis::fields::{DeliveryMode, Rank, SapId};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::time::Now;

use super::config::RadioConfig;
use super::link::Port;
use crate::io::{PipeId, PipeInput, PipeOutput};
use crate::transport::{Capture, CaptureMedium, TransportOutput};

/// A session at one SAP.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) sap: SapId,
    pub(super) client: SisClient,
    /// The pipe that was last asked for.
    pub(super) pipe: Option<PipeId>,
    /// Why it last ended, in words.
    pub(super) ended: Option<String>,
    /// Cuts what arrives for the capture file, if it is wanted.
    capture: Option<FrameReader>,
}

impl Session {
    pub(super) fn new(config: &RadioConfig, port: Port, seed: u64) -> Self {
        Self::bound(config, SisConfig { rank: config.rank, ..SisConfig::new(port.sap, port.mode()) }, seed)
    }

    /// The session that manages the node.
    pub(super) fn manager(config: &RadioConfig, sap: SapId, seed: u64) -> Self {
        let sis = SisConfig { rank: Rank::MANAGER, ..SisConfig::new(sap, DeliveryMode::NON_ARQ) };
        let mut session = Self::bound(config, sis, seed);
        session.client.start();
        session
    }

    fn bound(config: &RadioConfig, mut sis: SisConfig, seed: u64) -> Self {
        sis.own_address = Some(config.own_address);
        sis.quirks = config.quirks;
        sis.back_off = config.back_off;
        sis.keep_alive = config.keep_alive;
        let capture = config.capture.then(FrameReader::new);
        Self { sap: sis.sap, client: SisClient::new(sis, seed), pipe: None, ended: None, capture }
    }

    /// Takes what its pipe reports; puts out captured frames.
    pub(super) fn handle(&mut self, now: Now, input: PipeInput, mut out: impl FnMut(TransportOutput)) {
        match input {
            PipeInput::Opened => {
                self.capture = self.capture.take().map(|_| FrameReader::new());
                self.client.opened(now);
            }
            PipeInput::Refused(reason) => self.client.closed(now, Some(reason)),
            PipeInput::Closed(reason) => self.client.closed(now, reason),
            PipeInput::Read(octets) => {
                if let Some(frames) = &mut self.capture {
                    frames.push(&octets);
                    while let Some(Ok(frame)) = frames.next_frame() {
                        out(captured(false, frame.octets));
                    }
                }
                self.client.handle_read(now, &octets);
            }
            // The session is in clear; the node is on our own network.
            PipeInput::Drained(_) | PipeInput::Secured(_) | PipeInput::SecureFailed(_) => {}
        }
    }

    /// Moves what is to be written into outputs.
    pub(super) fn write(&mut self, mut out: impl FnMut(TransportOutput)) {
        while let Some(octets) = self.client.poll_write() {
            let Some(pipe) = self.pipe else { continue };
            if self.capture.is_some() {
                out(captured(true, octets.clone()));
            }
            out(TransportOutput::Pipe(pipe, PipeOutput::Write(octets)));
        }
    }
}

fn captured(sent: bool, octets: Bytes) -> TransportOutput {
    TransportOutput::Capture(Capture { medium: CaptureMedium::Sis, sent, octets })
}
