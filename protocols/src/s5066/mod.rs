//! STANAG 5066 Edition 3: the subnetwork of HF radio.
//!
//! [`sis`] is the interface between a client and its node (Annex A), from the client's side; [`rcop`] and [`udop`]
//! (Annex F) are the transport headers inside its U_PDUs; `node` holds what a node speaks to other nodes: S_PDUs
//! (`node::spdu`), C_PDUs (`node::cpdu`) and D_PDUs. [`address::NodeAddress`] is common to all.
//!
//! Source: `stanag-5066.md` (fact sheet); the ids after `//=` stand in `conformance/requirements/s5066.toml`.

pub mod address;
pub mod console;
pub mod limits;
pub mod management;
pub mod node;
pub mod rcop;
pub mod reassembly;
pub mod segment;
pub mod sis;
pub mod udop;
