//! One simulated radio for several processes: one hosts the channel, the others join it.
//!
//! The process that hosts the channel ([`host::Guests`]) tells each guest ([`guest::GuestModem`], a [`super::Modem`])
//! what it hears, and takes its transmissions. A guest keys, replaces and stops by itself and learns from the host when
//! its transmission has left and what it hears; both clocks run at the speed the host says, and a guest begins its wall
//! clock with the host's, since times to die are told by it. The protocol ([`wire`]) is our own and trusts nobody:
//! lengths are limited, a message that is none ends the connection. It has no secrecy and belongs on a loopback address.
//!
//! Promises: pure; what a guest may do to the channel is what a station of the host may do, and its station goes off the
//! air with its connection. A transmission that the host cannot take counts as sent and lost, so that ARQ repeats it; of
//! frames that it could not replace any more a guest hears that they went out.
//! Limits: `super::limits`.

pub mod guest;
pub mod host;
pub mod listening;
pub mod wire;

#[cfg(test)]
mod tests;
