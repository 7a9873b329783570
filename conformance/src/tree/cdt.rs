//! CompressedData as trees: the algorithm, the content type (a number, or an OID in dotted form), the inflated content.

use serde_json::{Value, json};
use skywave_protocols::bytes::hex;
use skywave_protocols::compress::CompressFault;
use skywave_protocols::compress::cdt::{self, CdtFault, ContentType};

use super::fields::Fields;
use crate::subject::Refusal;

/// Vectors are small; what inflates to more is a bomb.
const INFLATED_OCTETS_MAX: usize = 1 << 20;
const ZLIB: u8 = 0;

/// What a CompressedData means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let (content_type, content) = cdt::unwrap(octets, INFLATED_OCTETS_MAX).map_err(|fault| refusal(&fault))?;
    Ok(json!({
        "compression_algorithm": ZLIB, "content_type": content_type_tree(&content_type), "content": hex(&content),
    }))
}

/// The CompressedData of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    if fields.number::<u8>("compression_algorithm")? != ZLIB {
        return Err(Refusal::new("unknown_algorithm", "only zlib is known"));
    }
    cdt::wrap(&content_type(fields)?, &fields.octets("content")?).map_err(|fault| refusal(&fault))
}

/// The name of a fault in vectors.
pub fn refusal(fault: &CdtFault) -> Refusal {
    let name = match fault {
        CdtFault::TooLarge(_) => "too_large",
        CdtFault::Syntax(_) => "syntax",
        CdtFault::Trailing(_) => "trailing",
        CdtFault::Algorithm(_) => "unknown_algorithm",
        CdtFault::Content(CompressFault::TooLarge { .. }) => "bomb",
        CdtFault::Content(
            CompressFault::Damaged { .. }
            | CompressFault::Truncated { .. }
            | CompressFault::Trailing { .. }
            | CompressFault::Dictionary,
        ) => "not_zlib",
    };
    Refusal::new(name, fault)
}

fn content_type_tree(content_type: &ContentType) -> Value {
    match content_type {
        ContentType::Unidentified => Value::from(0),
        ContentType::External => Value::from(1),
        ContentType::P1 => Value::from(2),
        ContentType::P3 => Value::from(3),
        ContentType::P7 => Value::from(4),
        ContentType::Mule => Value::from(25),
        ContentType::Number(number) => Value::from(*number),
        ContentType::Oid(arcs) => Value::from(arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".")),
    }
}

fn content_type(fields: Fields<'_>) -> Result<ContentType, Refusal> {
    if let Ok(oid) = fields.text("content_type") {
        let arcs = oid.split('.').map(|arc| arc.parse().ok()).collect::<Option<Vec<u32>>>();
        return arcs.map(ContentType::Oid).ok_or_else(|| Refusal::new("field", format!("{oid} is no OID")));
    }
    Ok(match fields.number::<u32>("content_type")? {
        0 => ContentType::Unidentified,
        1 => ContentType::External,
        2 => ContentType::P1,
        3 => ContentType::P3,
        4 => ContentType::P7,
        25 => ContentType::Mule,
        number => ContentType::Number(number),
    })
}
