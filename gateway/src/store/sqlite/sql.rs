//! The words of SQL: one set of statements for each space, so that each is prepared once.

use skywave_transports::io::Space;

/// The layout of the database that this version writes; kept as SQLite's `user_version`.
pub const LAYOUT: u32 = 1;

/// Everything but the spaces.
pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS body (
        id INTEGER PRIMARY KEY, length INTEGER NOT NULL, sum INTEGER NOT NULL, octets BLOB, sums BLOB);
    CREATE TABLE IF NOT EXISTS corrupt (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL, key BLOB, value BLOB, sum INTEGER);
    CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, serial INTEGER NOT NULL);
";

/// The statements of one space.
#[derive(Debug)]
pub struct Statements {
    pub table: &'static str,
    pub put: &'static str,
    pub delete: &'static str,
    pub one: &'static str,
    pub up: &'static str,
    pub up_open: &'static str,
    pub down: &'static str,
    pub down_open: &'static str,
    pub count: &'static str,
    pub count_open: &'static str,
    pub set_aside: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        &Statements {
            table: concat!(
                "CREATE TABLE IF NOT EXISTS ",
                $table,
                " (key BLOB PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID"
            ),
            put: concat!("INSERT OR REPLACE INTO ", $table, " (key, value, sum) VALUES (?1, ?2, ?3)"),
            delete: concat!("DELETE FROM ", $table, " WHERE key = ?1"),
            one: concat!("SELECT key, value, sum FROM ", $table, " WHERE key = ?1"),
            up: concat!("SELECT key, value, sum FROM ", $table, " WHERE key >= ?1 AND key < ?2 ORDER BY key"),
            up_open: concat!("SELECT key, value, sum FROM ", $table, " WHERE key >= ?1 ORDER BY key"),
            down: concat!("SELECT key, value, sum FROM ", $table, " WHERE key >= ?1 AND key < ?2 ORDER BY key DESC"),
            down_open: concat!("SELECT key, value, sum FROM ", $table, " WHERE key >= ?1 ORDER BY key DESC"),
            count: concat!("SELECT count(*) FROM ", $table, " WHERE key >= ?1 AND key < ?2"),
            count_open: concat!("SELECT count(*) FROM ", $table, " WHERE key >= ?1"),
            set_aside: concat!(
                "INSERT INTO corrupt (name, at, key, value, sum) SELECT ?2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ",
                "key, value, sum FROM ",
                $table,
                " WHERE key = ?1"
            ),
        }
    };
}

/// The statements of a space.
pub const fn of(space: Space) -> &'static Statements {
    match space {
        Space::Mail => statements!("mail"),
        Space::Hop => statements!("hop"),
        Space::Delayed => statements!("delayed"),
        Space::History => statements!("history"),
        Space::Seen => statements!("seen"),
        Space::Site => statements!("site"),
        Space::Transport => statements!("transport"),
        Space::ChatOut => statements!("chat_out"),
        Space::ChatIn => statements!("chat_in"),
        Space::ChatLink => statements!("chat_link"),
        Space::Presence => statements!("presence"),
    }
}

/// Of the body with a number: its length, checksum, octets (of a small one) and chunks' checksums (of a large one).
pub const BODY: &str = "SELECT length, sum, octets, sums FROM body WHERE id = ?1";
pub const BODY_KNOWN: &str = "SELECT 1 FROM body WHERE id = ?1";
pub const BODY_PUT: &str = "INSERT OR IGNORE INTO body (id, length, sum, octets, sums) VALUES (?1, ?2, ?3, ?4, ?5)";
/// Deletes a body that is a row, and no other.
pub const BODY_DROP_ROW: &str = "DELETE FROM body WHERE id = ?1 AND octets IS NOT NULL";
pub const BODY_DROP: &str = "DELETE FROM body WHERE id = ?1";
pub const BODY_SET_ASIDE: &str = "INSERT INTO corrupt (name, at, key, value, sum) \
    SELECT ?2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), CAST(id AS BLOB), coalesce(octets, sums), sum \
    FROM body WHERE id = ?1";
pub const CORRUPT_TRIM: &str = "DELETE FROM corrupt WHERE number <= (SELECT max(number) FROM corrupt) - ?1";
pub const CORRUPT_NEXT: &str = "SELECT coalesce(max(number), 0) + 1 FROM corrupt";
/// A write that changes nothing for anybody, to see whether writing works.
pub const PROBE: &str =
    "INSERT INTO probe (id, serial) VALUES (0, 1) ON CONFLICT (id) DO UPDATE SET serial = serial + 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_bear_the_names_of_their_spaces() {
        for space in Space::ALL {
            assert!(of(space).put.contains(&format!("INTO {} (", space.name())), "{space:?}");
        }
    }
}
