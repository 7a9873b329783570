//! Ordinary XMPP servers and clients at both ends: client → server A → Skywave A → medium → Skywave B → server B →
//! client. The same conversation is also held between two servers directly: what differs is ours.

mod client;
mod dns;
mod ejabberd;
mod gateways;
mod kills;
mod servers;
mod talk;
mod way;
