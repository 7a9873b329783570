//! `skywave bench mail`: what the mail of 500 characters costs on its way over HF, counted in the world.
//!
//! One mail in an idle network of sites on one calm HF channel, from acceptance until every site has acknowledged and
//! nobody has anything more to say. Deterministic: the same figures on every machine. Words as in `defaults.md`:
//! *octets to transport* are what the carriage hands down, *on SIS* the U_PDUs of all sites (P_MUL and UDOP or RCOP,
//! acknowledgements and repetitions included), *on air* the frames of all stations.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::Quirks;
use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;
use skywave_transports::transport::Capture;

use super::BenchFault;
use super::table::{Cell, Report, Table};
use crate::telemetry::Event;
use crate::world::plan::{LinkKind, Plan};
use crate::world::{MailOrder, World};

/// The text: 500 characters with its line ends.
const TEXT: &str = include_str!("mail.txt");
const SEED: u64 = 1;
/// Until all sites are attached to their nodes.
const BEGIN: Duration = Duration::from_secs(30);
/// For the mail itself, and for what is said after it.
const SETTLE_MAX: Duration = Duration::from_secs(4 * 3600);
const AFTERWARDS: Duration = Duration::from_secs(600);

/// A mail and the figures that stand beside it.
struct Case {
    form: &'static str,
    html: bool,
    to: &'static str,
    /// Sites besides ours, and mailboxes at each.
    sites: usize,
    mailboxes: usize,
    /// Of `performance-anchors.md`, section 5: the whole batch as it is, deflated, with a trained dictionary; octets.
    anchors: [u64; 3],
}

const CASES: [Case; 6] = [
    case("plain", "one mailbox", 1, 1, [1242, 713, 271]),
    case("plain", "ten mailboxes at one site", 1, 10, [2106, 807, 280]),
    case("plain", "ten sites", 10, 1, [2106, 807, 280]),
    case("text+HTML", "one mailbox", 1, 1, [2125, 859, 316]),
    case("text+HTML", "ten mailboxes at one site", 1, 10, [2989, 947, 325]),
    case("text+HTML", "ten sites", 10, 1, [2989, 947, 325]),
];

const fn case(form: &'static str, to: &'static str, sites: usize, mailboxes: usize, anchors: [u64; 3]) -> Case {
    Case { form, html: form.len() > 5, to, sites, mailboxes, anchors }
}

/// What a mail cost.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Cost {
    text: u64,
    transport: u64,
    sis: u64,
    air: u64,
    seconds_on_air: f64,
    seconds: f64,
}

/// Counts everything.
///
/// # Errors
/// When a mail does not arrive.
pub fn run() -> Result<Report, BenchFault> {
    let mut rows = Vec::new();
    for case in &CASES {
        rows.push(row(case, &measure(case)?));
    }
    let facts = vec![
        ("radio", "1200 bit/s, short interleaver, calm, embedded node".to_owned()),
        ("link", "MULE by ACP 142 over UDOP or RCOP, each mail alone".to_owned()),
        ("seed", SEED.to_string()),
    ];
    Ok(Report { facts, tables: vec![table(rows)] })
}

fn measure(case: &Case) -> Result<Cost, BenchFault> {
    let (mut world, ours) = network(case.sites);
    world.run_for(BEGIN);
    let (before, begun) = (spent(&world), world.at());
    world.mail(ours, order(case));
    if !world.run_until_settled(SETTLE_MAX) {
        let why = world.violations().join("; ");
        return Err(BenchFault::Process(format!("{} to {} did not arrive: {why}", case.form, case.to)));
    }
    let seconds = arrived(&world).map_or(0.0, |at| at.since(begun).as_secs_f64());
    world.run_for(AFTERWARDS);
    let after = spent(&world);
    Ok(Cost {
        text: after.text,
        transport: after.transport - before.transport,
        sis: after.sis - before.sis,
        air: after.air - before.air,
        seconds_on_air: after.seconds_on_air - before.seconds_on_air,
        seconds,
    })
}

fn network(sites: usize) -> (World, usize) {
    let names: Vec<String> = std::iter::once("hq".to_owned()).chain((1..=sites).map(|n| format!("s{n}"))).collect();
    let plan = Plan { links: vec![LinkKind::Hf], ..Plan::new(&names.iter().map(String::as_str).collect::<Vec<_>>()) };
    let mut world = World::new(SEED, &Weather::default());
    for (index, name) in names.iter().enumerate() {
        let mut config = plan.site(index);
        config.capture = true;
        world.add(name, config, false);
    }
    (world, 0)
}

/// The mail: MMHS headers, an envelope with DSN parameters, plain or with HTML beside it.
fn order(case: &Case) -> MailOrder {
    let mailbox = |site, number| match case.mailboxes {
        1 => format!("operations@s{site}.test"),
        _ => format!("watch.officer.{number}@s{site}.test"),
    };
    let to = (1..=case.sites).flat_map(|site| (1..=case.mailboxes).map(move |number| mailbox(site, number))).collect();
    let mut headers = "MMHS-Primary-Precedence: 1\r\nMMHS-Copy-Precedence: 1\r\nMMHS-Message-Type: 1\r\n\
                       MMHS-Subject-Indicator-Codes: OPS; LOG\r\nMIME-Version: 1.0\r\n"
        .to_owned();
    headers += if case.html {
        "Content-Type: multipart/alternative; boundary=\"part-b7\"\r\n"
    } else {
        "Content-Type: text/plain; charset=us-ascii\r\n"
    };
    MailOrder {
        from: "duty.officer@hq.test".to_owned(),
        to,
        mail_parameters: format!("RET=HDRS ENVID=HQ-0412 MT-PRIORITY={}", Precedence::Routine.mt_priority().value()),
        rcpt_parameters: "NOTIFY=FAILURE,DELAY".to_owned(),
        subject: "Convoy BRAVO, morning report".to_owned(),
        headers,
        body: if case.html { html().into() } else { text().into() },
        pipelining: true,
    }
}

fn text() -> String {
    TEXT.replace('\n', "\r\n")
}

fn html() -> String {
    let text = text();
    let paragraph = text.trim_end().replace("\r\n", "<br>\r\n");
    format!(
        "--part-b7\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}\r\n\
         --part-b7\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n\
         <html><head><meta charset=\"us-ascii\"></head><body>\r\n<p>{paragraph}</p>\r\n</body></html>\r\n\
         --part-b7--\r\n"
    )
}

/// What everybody has spent since the beginning.
fn spent(world: &World) -> Cost {
    let told = || world.sites.iter().flat_map(|site| &site.told).map(|told| &told.event);
    let units = told().filter_map(|event| match event {
        Event::HopStarted { unit_bytes, .. } => Some(*unit_bytes as u64),
        _ => None,
    });
    let accepted = told().find_map(|event| match event {
        Event::MailAccepted { bytes, .. } => Some(*bytes),
        _ => None,
    });
    Cost {
        text: accepted.unwrap_or_default(),
        transport: units.sum(),
        sis: world.sites.iter().map(|site| on_sis(&site.captured)).sum(),
        air: world.air.octets_on_air(),
        seconds_on_air: world.air.seconds_on_air(),
        seconds: 0.0,
    }
}

/// Octets of the U_PDUs that a site asked its node to send.
fn on_sis(captured: &[Capture]) -> u64 {
    let mut reader = FrameReader::new();
    let mut octets = 0;
    for packet in captured.iter().filter(|packet| packet.sent) {
        reader.push(&packet.octets);
        while let Some(Ok(frame)) = reader.next_frame() {
            if let Ok(Primitive::UnidataRequest(request) | Primitive::ExpeditedUnidataRequest(request)) =
                Primitive::decode(&frame, Quirks::default())
            {
                octets += request.u_pdu.len() as u64;
            }
        }
    }
    octets
}

/// When the last local MTA took the mail.
fn arrived(world: &World) -> Option<skywave_protocols::time::Instant> {
    world.sites.iter().flat_map(|site| site.mta.received()).map(|received| received.at).max()
}

fn row(case: &Case, cost: &Cost) -> Vec<Cell> {
    let [raw, deflated, dictionary] = case.anchors;
    vec![
        Cell::text(case.form),
        Cell::text(case.to),
        Cell::Whole(cost.text),
        Cell::Whole(cost.transport),
        Cell::Whole(cost.sis),
        Cell::Whole(cost.air),
        Cell::Real(cost.seconds_on_air, 1),
        Cell::Real(cost.seconds, 1),
        Cell::Whole(raw),
        Cell::Whole(deflated),
        Cell::Whole(dictionary),
    ]
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "mail",
        title:
            "Octets of one mail of 500 characters; the last three columns are the anchors' batches of the same kind \
                (the corpus there is another): as they are, deflated, and with a trained dictionary."
                .to_owned(),
        columns: vec![
            ("form", "form"),
            ("to", "to"),
            ("octets_of_text", "text"),
            ("octets_to_transport", "to transport"),
            ("octets_on_sis", "on SIS"),
            ("octets_on_air", "on air"),
            ("seconds_on_air", "s on air"),
            ("seconds_to_last_mailbox", "s to last"),
            ("anchor_raw_octets", "anchor: raw"),
            ("anchor_deflated_octets", "anchor: DEFLATE"),
            ("anchor_dictionary_octets", "anchor: dictionary"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixture_has_500_characters() {
        assert_eq!(text().len(), 500);
    }

    #[test]
    fn each_part_of_the_way_costs_more_than_the_one_before() {
        let cost = measure(&CASES[0]).unwrap();
        assert!(cost.transport > 0 && cost.transport < cost.sis && cost.sis < cost.air, "{cost:?}");
        assert!(cost.seconds > 0.0 && cost.seconds_on_air > 0.0, "{cost:?}");
    }

    #[test]
    fn u_pdus_are_counted() {
        let capture = |sent, octets: &[u8]| Capture {
            medium: skywave_transports::transport::CaptureMedium::Sis,
            sent,
            octets: octets.to_vec().into(),
        };
        let keep_alive = [0x90, 0xeb, 0, 0, 1, 17];
        assert_eq!(on_sis(&[capture(true, &keep_alive), capture(false, &keep_alive)]), 0);
    }
}
