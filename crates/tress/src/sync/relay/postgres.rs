//! PostgreSQL as a relay: what stores have is kept in a table, replicated by PostgreSQL itself.
//!
//! *Shape.* One connection serves all runs of a process. A segment is a row; who leaves one that is
//! there already does nothing. `tress_head` says how far each replica goes, so that to learn what is
//! there costs one row a replica. `NOTIFY` wakes those who wait; they then ask, and ask every
//! [`LOOK_EVERY`] anyway.
//!
//! *Invariant:* a put is acknowledged only after a commit that wrote something. The row of a segment
//! may be there already and not yet on a standby, where its writer was killed while it waited; then
//! the upsert of the head is what has to reach the standby, and it comes later in the WAL.
//!
//! *Invariant:* whoever sees a position of `tress_segment` sees its causes at smaller ones: they were
//! committed when it was made, or were made in the same statement.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use tress_documents::Numbered;
use tress_model::codec::{self, CodecError};
use tress_model::message::Clock;
use tress_model::{EventId, ReplicaId, Segment, StoreId, Strand, VersionVector, limits};

use super::super::address::without_secret;
use super::super::{Certificates, PATIENCE, socket};
use super::{ACTORS_MAX, CHANGES_BYTES, Relay, RelayError};

/// How often it is asked what is there where nothing is told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The channel that is notified; its payload is the run.
const CHANNEL: &str = "tress";
/// How many rows are looked at for one answer.
const ROWS: i64 = 1024;
/// How many runs' changes are kept apart.
const RUNS_MAX: usize = 4096;

/// The schema, one step after the other. What was released is never changed.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE tress_segment (
        position bigint GENERATED ALWAYS AS IDENTITY,
        run text NOT NULL,
        replica bytea NOT NULL,
        store bytea NOT NULL,
        first bigint NOT NULL,
        last bigint NOT NULL,
        previous bytea NOT NULL,
        format integer NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (run, replica, first, last)
    );
    CREATE INDEX tress_segment_last ON tress_segment (run, replica, last);
    CREATE TABLE tress_head (
        run text NOT NULL,
        replica bytea NOT NULL,
        last bigint NOT NULL,
        PRIMARY KEY (run, replica)
    );
",
    "
    CREATE TABLE tress_change (
        position bigint GENERATED ALWAYS AS IDENTITY,
        run text NOT NULL,
        strand smallint NOT NULL,
        actor bytea NOT NULL,
        number bigint NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (run, strand, actor, number)
    );
",
];

/// Adds segments, and moves the heads. One statement is one transaction, and one round trip.
const PUT: &str = "
    WITH new AS MATERIALIZED (
        SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bytea[], $8::bytea[])
            WITH ORDINALITY AS n(replica, store, first, last, previous, body, at)
    ), put AS (
        INSERT INTO tress_segment (run, replica, store, first, last, previous, format, body)
        SELECT $1, replica, store, first, last, previous, $7, body FROM new ORDER BY at
        ON CONFLICT DO NOTHING
    ), ahead AS (
        INSERT INTO tress_head (run, replica, last)
        SELECT $1, replica, max(last) FROM new GROUP BY replica ORDER BY replica
        ON CONFLICT (run, replica) DO UPDATE SET last = GREATEST(tress_head.last, excluded.last)
    )
    SELECT pg_notify('tress', $1)";

/// Writes something small, so that its commit comes behind all that was seen.
const CONFIRM: &str = "UPDATE tress_schema SET confirmed = confirmed + 1";

/// How many replicas a run has at the most, and one more, which is too many.
const HOLDS: &str = "SELECT replica, last FROM tress_head WHERE run = $1 LIMIT 16385";

/// What lies behind what is known of each replica, in the order in which it came, up to so many bytes.
const GET: &str = "
    WITH near AS (
        SELECT s.position, octet_length(s.body) AS size
        FROM unnest($2::bytea[], $3::bigint[]) AS k(replica, last)
        JOIN tress_segment s ON s.run = $1 AND s.replica = k.replica AND s.last > k.last
        WHERE octet_length(s.body) <= $6 AND s.position > $7
        ORDER BY s.position LIMIT $4
    ), picked AS (
        SELECT position, sum(size) OVER (ORDER BY position) - size AS before FROM near
    )
    SELECT s.replica, s.store, s.first, s.previous, s.format, s.body, s.last, s.position
    FROM picked JOIN tress_segment s USING (position) WHERE before < $5 ORDER BY position";

/// How many changes there are of each actor of a document, and one actor more than are looked at.
const CLOCKS: &str = "
    SELECT strand, actor, max(number) FROM tress_change WHERE run = $1 GROUP BY strand, actor LIMIT 65537";

/// Adds changes of a document.
const PUT_CHANGES: &str = "
    WITH put AS (
        INSERT INTO tress_change (run, strand, actor, number, body)
        SELECT $1, strand, actor, number, body
        FROM unnest($2::smallint[], $3::bytea[], $4::bigint[], $5::bytea[])
            WITH ORDINALITY AS n(strand, actor, number, body, at) ORDER BY at
        ON CONFLICT DO NOTHING
    )
    SELECT pg_notify('tress', $1)";

/// The changes behind what is known of each actor, in the order in which they came, up to so many bytes.
const GET_CHANGES: &str = "
    WITH near AS (
        SELECT c.position, octet_length(c.body) AS size
        FROM tress_change c
        LEFT JOIN unnest($3::bytea[], $4::bigint[]) AS k(actor, number) ON k.actor = c.actor
        WHERE c.run = $1 AND c.strand = $2 AND c.number > coalesce(k.number, 0)
            AND octet_length(c.body) <= $6
    ), picked AS (
        SELECT position, sum(size) OVER (ORDER BY position) - size AS before FROM near
    )
    SELECT c.body FROM picked JOIN tress_change c USING (position) WHERE before < $5 ORDER BY position";

/// A database that holds runs. Cheap to clone; all clones share one connection, which is made again
/// when it was lost and somebody asks.
#[derive(Debug, Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    at: String,
    certificates: Certificates,
    live: Mutex<Option<Arc<Connection>>>,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    client: Client,
    put: Statement,
    holds: Statement,
    get: Statement,
    id: StoreId,
    news: watch::Receiver<News>,
}

/// What the server said by itself.
#[derive(Debug, Default)]
struct News {
    /// How often each run was changed.
    changed: BTreeMap<String, u64>,
    /// How often it warned.
    warnings: u64,
}

impl Postgres {
    /// The database at `url` (`postgres://USER@HOST:PORT,HOST:PORT/DATABASE?sslmode=…`); nothing is
    /// connected yet. Of several hosts the one that can be written is used. `password` is for where
    /// the URL has none.
    ///
    /// # Errors
    /// When `url` means nothing.
    pub fn new(
        url: &str,
        password: Option<&str>,
        certificates: &Certificates,
    ) -> Result<Self, RelayError> {
        let parsed: Result<Config, _> = url.parse();
        // The message of the library names the option, and no secret.
        let mut config = parsed.map_err(|error| {
            RelayError::Unusable(format!("this is no address of a database ({})", said(&error)))
        })?;
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password.trim());
        }
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name("tress")
            .connect_timeout(PATIENCE / 3)
            .keepalives_idle(PATIENCE / 2)
            .tcp_user_timeout(PATIENCE);
        let at = format!("the database at {}", without_secret(url));
        let (certificates, live) = (certificates.clone(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { config, at, certificates, live }) })
    }

    /// The runs of which it holds something.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn runs(&self) -> Result<Vec<String>, RelayError> {
        let connection = self.connection().await?;
        let asked =
            connection.client.query("SELECT DISTINCT run FROM tress_head ORDER BY run", &[]);
        let rows = self.shared.within(asked).await?;
        rows.iter().map(|row| self.shared.column(row, 0)).collect()
    }

    /// What it holds of `run`, to be followed.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or has a newer schema.
    pub async fn run(&self, run: &str) -> Result<PostgresRun, RelayError> {
        let connection = self.connection().await?;
        let news = connection.news.clone();
        let shared = Arc::clone(&self.shared);
        let (run, there) = (run.to_owned(), VersionVector::new());
        Ok(PostgresRun { shared, connection, news, run, seen: 0, there, looked: Instant::now() })
    }

    async fn connection(&self) -> Result<Arc<Connection>, RelayError> {
        let mut live = self.shared.live.lock().await;
        if let Some(connection) = live.as_ref().filter(|live| !live.client.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        *live = None;
        let connecting = self.shared.connect();
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        let connection = connected.map_err(|_| self.shared.away("it took too long"))??;
        Ok(Arc::clone(live.insert(Arc::new(connection))))
    }
}

impl Shared {
    fn away(&self, reason: impl ToString) -> RelayError {
        RelayError::Away { at: self.at.clone(), reason: reason.to_string() }
    }

    fn refused(&self, reason: impl ToString) -> RelayError {
        RelayError::Refused { at: self.at.clone(), reason: reason.to_string() }
    }

    fn failed(&self, error: tokio_postgres::Error) -> RelayError {
        let reason = said(&error);
        match error.code() {
            Some(code) if is_refusal(code) => self.refused(reason),
            _ => self.away(reason),
        }
    }

    fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
        &self,
        row: &'a Row,
        at: usize,
    ) -> Result<T, RelayError> {
        row.try_get(at).map_err(|error| self.refused(format!("its tables are not ours: {error}")))
    }

    fn sixteen(&self, bytes: &[u8]) -> Result<[u8; 16], RelayError> {
        bytes.try_into().map_err(|_| self.refused("an id in its tables has not 16 bytes"))
    }

    /// What `asked` gives, if it comes soon.
    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, RelayError> {
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.map_err(|_| self.away("it takes too long"))?.map_err(|error| self.failed(error))
    }

    async fn connect(&self) -> Result<Connection, RelayError> {
        let tls = socket::client_config(&self.certificates);
        let tls = tls.map_err(|error| RelayError::Unusable(error.to_string()))?;
        let connected = self.config.connect(MakeRustlsConnect::new(tls)).await;
        let (mut client, mut driven) = connected.map_err(|error| self.failed(error))?;
        let (tell, news) = watch::channel(News::default());
        // Ends when the client is dropped, or the server goes.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| driven.poll_message(context)).await {
                match message {
                    AsyncMessage::Notification(told) => tell.send_modify(|news| {
                        let known = news.changed.len() < RUNS_MAX;
                        if known || news.changed.contains_key(told.payload()) {
                            *news.changed.entry(told.payload().to_owned()).or_default() += 1;
                        }
                    }),
                    AsyncMessage::Notice(notice) => {
                        tracing::debug!(severity = notice.severity(), message = notice.message());
                        // Its text may be in any language.
                        if notice.parsed_severity() == Some(Severity::Warning) {
                            tell.send_modify(|news| news.warnings += 1);
                        }
                    }
                    _ => {}
                }
            }
        });
        let id = self.migrate(&mut client).await?;
        // A commit is to wait for the standbys, whatever the default of the server is.
        let settle = "SET synchronous_commit TO on; SET client_min_messages TO warning";
        client.batch_execute(settle).await.map_err(|error| self.failed(error))?;
        let listen = format!("LISTEN {CHANNEL}");
        client.batch_execute(&listen).await.map_err(|error| self.failed(error))?;
        let prepared = async {
            Ok((
                client.prepare(PUT).await?,
                client.prepare(HOLDS).await?,
                client.prepare(GET).await?,
            ))
        };
        let (put, holds, get) = prepared.await.map_err(|error| self.failed(error))?;
        Ok(Connection { client, put, holds, get, id, news })
    }

    /// Brings the schema up to date, one process at a time; gives the id of the database.
    async fn migrate(&self, client: &mut Client) -> Result<StoreId, RelayError> {
        let fail = |error| self.failed(error);
        let change = client.transaction().await.map_err(fail)?;
        // The number is that of the word "tress".
        let lock = "SELECT pg_advisory_xact_lock(0x7472657373);
            CREATE TABLE IF NOT EXISTS tress_schema
                (version integer NOT NULL, id bytea NOT NULL, confirmed bigint NOT NULL DEFAULT 0)";
        let lock = lock.replace("0x7472657373", "500086043507");
        change.batch_execute(&lock).await.map_err(fail)?;
        let known = change.query_opt("SELECT version, id FROM tress_schema", &[]).await;
        let (found, id) = match known.map_err(fail)? {
            Some(row) => {
                (self.column::<i32>(&row, 0)?, self.sixteen(self.column::<&[u8]>(&row, 1)?)?)
            }
            None => {
                let mut id = [0; 16];
                getrandom::fill(&mut id)
                    .map_err(|error| RelayError::Unusable(error.to_string()))?;
                let made = "INSERT INTO tress_schema (version, id) VALUES (0, $1)";
                change.execute(made, &[&id.as_slice()]).await.map_err(fail)?;
                (0, id)
            }
        };
        let known = MIGRATIONS.len() as i32;
        if found > known {
            return Err(RelayError::Newer { at: self.at.clone(), found, known });
        }
        for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
            change.batch_execute(step).await.map_err(fail)?;
        }
        if found < known {
            let set = "UPDATE tress_schema SET version = $1";
            change.execute(set, &[&known]).await.map_err(fail)?;
        }
        change.commit().await.map_err(fail)?;
        Ok(StoreId(id))
    }
}

/// What a database holds of one run.
#[derive(Debug)]
pub struct PostgresRun {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    news: watch::Receiver<News>,
    run: String,
    /// How many changes of the run there were when it was looked at, with those that we made since,
    /// and what was there then.
    seen: u64,
    there: VersionVector,
    looked: Instant,
}

impl PostgresRun {
    fn count(&mut self) -> u64 {
        self.news.borrow_and_update().changed.get(&self.run).copied().unwrap_or_default()
    }
}

impl Relay for PostgresRun {
    fn id(&self) -> StoreId {
        self.connection.id
    }

    async fn holds(&mut self) -> Result<VersionVector, RelayError> {
        (self.seen, self.looked) = (self.count(), Instant::now());
        let Connection { client, holds, .. } = &*self.connection;
        let rows = self.shared.within(async { client.query(holds, &[&self.run]).await }).await?;
        let mut there = VersionVector::new();
        for row in &rows {
            let last: i64 = self.shared.column(row, 1)?;
            // A row that is none of ours is passed over.
            if let Ok(replica) = self.shared.column::<&[u8]>(row, 0)?.try_into() {
                there.advance(ReplicaId(replica), u64::try_from(last).unwrap_or_default());
            }
        }
        if there.len() > limits::REPLICAS_MAX {
            return Err(self.shared.refused("there are more replicas than a run may have"));
        }
        self.there = there;
        Ok(self.there.clone())
    }

    async fn put(&mut self, segments: &[Segment]) -> Result<(), RelayError> {
        let warned = self.news.borrow().warnings;
        let Connection { client, put, .. } = &*self.connection;
        if segments.is_empty() {
            self.shared.within(client.execute(CONFIRM, &[])).await?;
        } else {
            let mut rows = Rows::default();
            for segment in segments {
                rows.add(segment)?;
            }
            let Rows { replicas, stores, firsts, lasts, previous, bodies } = rows;
            let format = i32::from(codec::FORMAT.major);
            let values: [&(dyn ToSql + Sync); 8] =
                [&self.run, &replicas, &stores, &firsts, &lasts, &previous, &format, &bodies];
            self.shared.within(client.execute(put, &values)).await?;
            // We are told of that, too; it is no news.
            self.seen += 1;
        }
        // Where the wait for the standbys was cancelled, the commit succeeds and the server warns.
        if self.news.borrow().warnings != warned {
            return Err(self
                .shared
                .away("it warned, and what was left there may not be replicated"));
        }
        Ok(())
    }

    async fn get(&mut self, than: &VersionVector) -> Result<Vec<Segment>, RelayError> {
        let (mut replicas, mut known) = (Vec::new(), Vec::new());
        let more = self.there.iter().filter(|&(replica, last)| last > than.get(replica));
        for (replica, _) in more {
            replicas.push(replica.as_bytes().to_vec());
            known.push(i64::try_from(than.get(replica)).unwrap_or(i64::MAX));
        }
        let (bytes, most) = (limits::BATCH_BYTES as i64, limits::SEGMENT_BYTES_MAX as i32);
        let mut position = 0_i64;
        loop {
            let values: [&(dyn ToSql + Sync); 7] =
                [&self.run, &replicas, &known, &ROWS, &bytes, &most, &position];
            let Connection { client, get, .. } = &*self.connection;
            let rows = self.shared.within(client.query(get, &values)).await?;
            let mut segments = Vec::with_capacity(rows.len());
            for row in &rows {
                segments.extend(self.segment(row)?);
                position = position.max(self.shared.column(row, 7)?);
            }
            // Behind rows that cannot be read there may be others that can.
            if !segments.is_empty() || rows.is_empty() {
                return Ok(segments);
            }
        }
    }

    async fn clocks(&mut self) -> Result<[Clock; 3], RelayError> {
        let client = &self.connection.client;
        let rows = self.shared.within(async { client.query(CLOCKS, &[&self.run]).await }).await?;
        if rows.len() > ACTORS_MAX {
            return Err(self.shared.refused("there are more actors than a document may have"));
        }
        let mut clocks = <[Clock; 3]>::default();
        for row in &rows {
            let strand = usize::try_from(self.shared.column::<i16>(row, 0)?).unwrap_or(usize::MAX);
            let (actor, last) =
                (self.shared.column::<&[u8]>(row, 1)?, self.shared.column::<i64>(row, 2)?);
            // A row that is none of ours is passed over.
            if let (Some(clock), Ok(last)) = (clocks.get_mut(strand), u64::try_from(last)) {
                clock.insert(actor.to_vec(), last);
            }
        }
        Ok(clocks)
    }

    async fn put_changes(&mut self, changes: &[(Strand, Numbered)]) -> Result<(), RelayError> {
        let strands: Vec<i16> = changes.iter().map(|(strand, _)| place(*strand)).collect();
        let actors: Vec<&[u8]> = changes.iter().map(|(_, one)| one.actor.as_slice()).collect();
        let numbers: Vec<i64> = changes.iter().map(|(_, one)| number(one.number)).collect();
        let bodies: Vec<&[u8]> = changes.iter().map(|(_, one)| one.bytes.as_slice()).collect();
        let values: [&(dyn ToSql + Sync); 5] = [&self.run, &strands, &actors, &numbers, &bodies];
        self.shared.within(self.connection.client.execute(PUT_CHANGES, &values)).await?;
        self.seen += 1;
        Ok(())
    }

    async fn get_changes(
        &mut self,
        strand: Strand,
        than: &Clock,
    ) -> Result<Vec<Vec<u8>>, RelayError> {
        let actors: Vec<&[u8]> = than.keys().map(Vec::as_slice).collect();
        let numbers: Vec<i64> = than.values().copied().map(number).collect();
        let (bytes, most) = (CHANGES_BYTES as i64, limits::MESSAGE_BYTES_MAX as i32);
        let values: [&(dyn ToSql + Sync); 6] =
            [&self.run, &place(strand), &actors, &numbers, &bytes, &most];
        let asked = self.connection.client.query(GET_CHANGES, &values);
        let rows = self.shared.within(asked).await?;
        rows.iter().map(|row| Ok(self.shared.column::<&[u8]>(row, 0)?.to_vec())).collect()
    }

    async fn changed(&mut self) -> Result<(), RelayError> {
        let (mut news, run, seen) = (self.news.clone(), self.run.clone(), self.seen);
        let news = news.wait_for(move |news| news.changed.get(&run).is_some_and(|now| *now > seen));
        match tokio::time::timeout_at(self.looked + LOOK_EVERY, news).await {
            Ok(Err(_)) => Err(self.shared.away("the connection broke off")),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How a strand is written in a column.
fn place(strand: Strand) -> i16 {
    strand.index() as i16
}

impl PostgresRun {
    /// The segment of a row; nothing where it is none that can be read here.
    fn segment(&self, row: &Row) -> Result<Option<Segment>, RelayError> {
        let bytes = |at| self.shared.column::<&[u8]>(row, at);
        let (Ok(replica), Ok(store)) = (bytes(0)?.try_into(), bytes(1)?.try_into()) else {
            return Ok(None);
        };
        let (replica, store) = (ReplicaId(replica), StoreId(store));
        let first = u64::try_from(self.shared.column::<i64>(row, 2)?).unwrap_or_default();
        let (format, known) = (self.shared.column::<i32>(row, 4)?, codec::FORMAT.major);
        if format > i32::from(known) {
            let (at, known) = (self.shared.at.clone(), i32::from(known));
            return Err(RelayError::Newer { at, found: format, known });
        }
        let previous = bytes(3)?.try_into().map(EventId);
        let read = match previous {
            Ok(previous) => codec::decode_segment(replica, store, first, previous, bytes(5)?),
            Err(_) => Err(CodecError::Malformed { what: "row", reason: "its previous id".into() }),
        };
        let last: i64 = self.shared.column(row, 6)?;
        let read = read.and_then(|segment| match i64::try_from(segment.last()) == Ok(last) {
            true => Ok(segment),
            false => Err(CodecError::Malformed { what: "row", reason: "its last number".into() }),
        });
        if let Err(error) = &read {
            tracing::warn!(%replica, first, %error, "passed over a row of {}", self.shared.at);
        }
        Ok(read.ok())
    }
}

/// Segments by column.
#[derive(Default)]
struct Rows {
    replicas: Vec<Vec<u8>>,
    stores: Vec<Vec<u8>>,
    firsts: Vec<i64>,
    lasts: Vec<i64>,
    previous: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Rows {
    fn add(&mut self, segment: &Segment) -> Result<(), RelayError> {
        let number = |number: u64| {
            i64::try_from(number).map_err(|_| CodecError::Malformed {
                what: "segment",
                reason: "its number is too large".to_owned(),
            })
        };
        self.replicas.push(segment.replica.as_bytes().to_vec());
        self.stores.push(segment.store.as_bytes().to_vec());
        self.firsts.push(number(segment.first)?);
        self.lasts.push(number(segment.last())?);
        self.previous.push(segment.previous.as_bytes().to_vec());
        self.bodies.push(codec::encode_segment(segment)?);
        Ok(())
    }
}

/// What the server, or the system, says, in one line.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => {
            let source = std::error::Error::source(error);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}

/// Whether to try again later cannot help.
fn is_refusal(code: &SqlState) -> bool {
    // Authorization, a database or a right that is not there, a table that is another's.
    ["28", "3D", "42", "0A"].iter().any(|class| code.code().starts_with(class))
}
