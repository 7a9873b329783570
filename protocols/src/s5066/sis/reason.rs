//! Reason and status codes of S_PRIMITIVEs (A.2.1, fact sheet 1.4). Codes without a meaning are kept as `Other`.

macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A code without a meaning in Edition 3.
            Other(u8),
        }

        impl $name {
            /// From the code on the wire.
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)+
                    other => Self::Other(other),
                }
            }

            /// The code on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Other(code) => code,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)+
                    Self::Other(code) => write!(f, "unknown reason {code}"),
                }
            }
        }
    };
}

pub(in crate::s5066) use codes;

codes! {
    /// Why a bind was rejected.
    BindRejection {
        /// No room for another client.
        Resources = 1, "not enough resources at the node";
        /// There is no such SAP.
        InvalidSap = 2, "invalid SAP";
        /// Another client has it.
        SapAllocated = 3, "SAP already allocated";
        /// Only non-ARQ at present.
        BroadcastSession = 4, "no ARQ during a broadcast session";
    }
}

codes! {
    /// Why a node unbound a client.
    UnbindReason {
        /// A client of higher rank needs the resources.
        Preempted = 1, "pre-empted by a client of higher rank";
        /// A keep-alive was not answered.
        Inactivity = 2, "keep-alive not answered";
        /// Too many invalid primitives.
        InvalidPrimitives = 3, "too many invalid primitives";
        /// Too many expedited requests.
        Expedited = 4, "too many expedited requests";
        /// Only non-ARQ from now on.
        BroadcastSession = 5, "no ARQ during a broadcast session";
    }
}

codes! {
    /// Why a hard link was rejected.
    HardLinkRejection {
        /// The other node is busy.
        Busy = 1, "remote node busy";
        /// A link of higher priority exists.
        HigherPriority = 2, "link of higher priority exists";
        /// The other node does not answer.
        NotResponding = 3, "remote node not responding";
        /// No client at the SAP there.
        NotBound = 4, "destination SAP not bound";
        /// A reservation of the same kind exists and can be used.
        Exists = 5, "requested type 0 link exists";
    }
}

codes! {
    /// Why a hard link ended.
    HardLinkEnd {
        /// The other end ended it.
        Remote = 1, "terminated by the remote end";
        /// A link of higher priority was asked for.
        HigherPriority = 2, "link of higher priority requested";
        /// The other node does not answer.
        NotResponding = 3, "remote node not responding";
        /// No client at the SAP there any more.
        NotBound = 4, "destination SAP not bound";
        /// The physical link broke.
        Broken = 5, "physical link broken";
    }
}

codes! {
    /// Why a U_PDU was not delivered; 4 bits.
    DataRejection {
        /// Its time to live has passed.
        TtlExpired = 1, "time to live expired";
        /// No client at the SAP there.
        NotBound = 2, "destination SAP not bound";
        /// The other node does not answer.
        NotResponding = 3, "destination node not responding";
        /// Larger than the MTU.
        TooLarge = 4, "larger than the MTU";
        /// No transmission mode was given.
        NoMode = 5, "transmission mode not specified";
    }
}

impl DataRejection {
    /// Whether the same U_PDU may be taken later: the peer may come back.
    pub const fn may_pass(self) -> bool {
        match self {
            Self::NotBound | Self::NotResponding | Self::TtlExpired => true,
            Self::TooLarge | Self::NoMode | Self::Other(_) => false,
        }
    }
}

codes! {
    /// What the subnetwork can do at present.
    Availability {
        /// Nothing.
        Off = 0, "off";
        /// It works; nothing more is said.
        On = 1, "on";
        /// It can only receive.
        ReceiveOnly = 2, "receive only";
        /// One direction at a time.
        HalfDuplex = 3, "half-duplex";
        /// Both directions at once.
        FullDuplex = 4, "full-duplex";
        /// It can only send (new in Edition 3).
        TransmitOnly = 5, "transmit only";
    }
}

codes! {
    /// Why the availability is what it is.
    AvailabilityReason {
        /// Nothing is said.
        Unspecified = 0, "no reason given";
        /// The own node is in EMCON.
        Emcon = 1, "local node in EMCON";
        /// A link of higher priority was asked for.
        HigherPriority = 2, "link of higher priority requested";
    }
}

codes! {
    /// Status of an established or offered hard link.
    HardLinkStatus {
        /// Something is wrong.
        Error = 0, "error";
        /// All is well.
        Good = 1, "ok";
    }
}

impl Availability {
    /// Whether a request handed down now can leave.
    pub const fn can_transmit(self) -> bool {
        match self {
            Self::Off | Self::ReceiveOnly => false,
            Self::On | Self::HalfDuplex | Self::FullDuplex | Self::TransmitOnly | Self::Other(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives() {
        for code in 0..=255 {
            assert_eq!(BindRejection::from_code(code).code(), code);
            assert_eq!(UnbindReason::from_code(code).code(), code);
            assert_eq!(HardLinkRejection::from_code(code).code(), code);
            assert_eq!(HardLinkEnd::from_code(code).code(), code);
            assert_eq!(DataRejection::from_code(code).code(), code);
            assert_eq!(Availability::from_code(code).code(), code);
            assert_eq!(AvailabilityReason::from_code(code).code(), code);
            assert_eq!(HardLinkStatus::from_code(code).code(), code);
        }
        assert_eq!(BindRejection::SapAllocated.to_string(), "SAP already allocated");
        assert_eq!(DataRejection::Other(6).to_string(), "unknown reason 6");
    }
}
