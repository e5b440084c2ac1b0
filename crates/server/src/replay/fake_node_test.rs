//! A keyviz node in the test's own process: ingest and history over real sockets, maps for a store,
//! and faults on request.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use keyviz_api::convert::{entry_from_wire, source_from_wire};
use keyviz_api::wire::history::history_service_server::{HistoryService, HistoryServiceServer};
use keyviz_api::wire::ingest::ingest_service_server::{IngestService, IngestServiceServer};
use keyviz_api::wire::{history, ingest};
use keyviz_lineage::{Change, Counts, Entry, GroupId, KeyRange, Series, SourceId, Transition};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

type Cells = BTreeMap<(GroupId, KeyRange, u64), Counts>;

/// What the node does wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Ends the stream before each entry with one of these numbers, once.
    pub(super) cut_before: Vec<u64>,
    /// Like `cut_before`, but the entry is stored and only its acknowledgement is lost.
    pub(super) cut_after: Vec<u64>,
    /// Refuses columns of windows before this time.
    pub(super) oldest_ms: u64,
    /// Refuses the column of this window.
    pub(super) refuses_window_ms: Option<u64>,
    /// Aborts transitions, as if its catalogue had changed.
    pub(super) aborts_transitions: bool,
    /// Acknowledges nothing.
    pub(super) silent: bool,
    /// Forgets the cell with this number (in key and time order) of each column.
    pub(super) loses_cell: Option<usize>,
    /// Forgets that a window was recorded.
    pub(super) loses_window_ms: Option<u64>,
    /// Answers in this step.
    pub(super) answer_step_ms: Option<u64>,
    /// Joins all routes when more than this many are asked for.
    pub(super) most_rows: Option<usize>,
}

/// What the node holds.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) faults: Faults,
    pub(super) cells: Cells,
    pub(super) windows: BTreeMap<u64, u32>,
    pub(super) transitions: Vec<Transition>,
    pub(super) lineages: Vec<(GroupId, KeyRange)>,
    pub(super) leaves: u32,
    pub(super) probes: u32,
    pub(super) questions: u32,
    next: HashMap<SourceId, u64>,
}

#[derive(Clone, Debug)]
pub(super) struct FakeNode {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) address: SocketAddr,
}

impl FakeNode {
    pub(super) async fn start(faults: Faults) -> FakeNode {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(Mutex::new(State { faults, ..State::default() }));
        let node = FakeNode { state, address: listener.local_addr().unwrap() };
        let server = tonic::transport::Server::builder()
            .add_service(IngestServiceServer::new(node.clone()))
            .add_service(HistoryServiceServer::new(node.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        node
    }

    /// The sums over all cells.
    pub(super) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.state.lock().unwrap().cells.values() {
            total.add(counts);
        }
        total
    }
}

enum Step {
    Ack(ingest::Ack),
    CutAfter,
    CutBefore,
    Silent,
}

impl State {
    fn take(&mut self, source: &SourceId, entry: ingest::Entry) -> Step {
        let sequence = entry.sequence;
        if let Some(at) = self.faults.cut_before.iter().position(|&cut| cut == sequence) {
            self.faults.cut_before.remove(at);
            return Step::CutBefore;
        }
        let next = self.next.entry(source.clone()).or_insert(1);
        assert!(sequence <= *next, "entry {sequence} before {next}");
        let mut ack = ingest::Ack { sequence, ..ingest::Ack::default() };
        if sequence < *next {
            ack.set_outcome(ingest::ack::Outcome::Duplicate);
            return Step::Ack(ack);
        }
        if self.faults.silent {
            return Step::Silent;
        }
        *next += 1;
        let is_transition = matches!(entry.body, Some(ingest::entry::Body::Transition(_)));
        ack.set_outcome(ingest::ack::Outcome::Stored);
        if let Err(reason) = self.store(entry_from_wire(entry.body.unwrap()).unwrap()) {
            ack.set_outcome(ingest::ack::Outcome::Refused);
            ack.reason = reason;
        }
        if self.faults.aborts_transitions && is_transition {
            ack.set_outcome(ingest::ack::Outcome::Aborted);
            ack.reason = "decide again".to_owned();
        }
        if let Some(at) = self.faults.cut_after.iter().position(|&cut| cut == sequence) {
            self.faults.cut_after.remove(at);
            return Step::CutAfter;
        }
        Step::Ack(ack)
    }

    fn store(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Transition(transition) => {
                if let Change::Create { routes } = &transition.change {
                    for route in routes {
                        let lineage = (transition.group, route.range.clone());
                        if !self.lineages.contains(&lineage) {
                            self.lineages.push(lineage);
                        }
                    }
                }
                self.transitions.push(transition);
            }
            Entry::Leave => self.leaves += 1,
            Entry::Column(column) => {
                let start_ms = column.window.start_ms;
                if self.faults.refuses_window_ms == Some(start_ms) {
                    return Err("not this one".to_owned());
                }
                if start_ms < self.faults.oldest_ms {
                    return Err(format!(
                        "window {start_ms} is older than the retention; raise --retention"
                    ));
                }
                assert_eq!(column.covered_from_ms, start_ms);
                if column.groups.is_empty() {
                    assert!(column.covered_to_ms == start_ms && column.rows.is_empty());
                    self.probes += 1;
                    return Ok(());
                }
                assert_eq!(column.covered_to_ms, column.window.end_ms());
                *self.windows.entry(start_ms).or_default() += 1;
                for (index, row) in column.rows.into_iter().enumerate() {
                    if self.faults.loses_cell != Some(index) {
                        let cell = (row.group, row.range, start_ms);
                        self.cells.entry(cell).or_default().add(&row.counts);
                    }
                }
            }
        }
        Ok(())
    }

    fn matrix(&mut self, question: &history::GetMatrixRequest) -> history::GetMatrixResponse {
        self.questions += 1;
        assert!(question.rows == 1024 && question.row_set() == history::RowSet::Union);
        let step_ms = self.faults.answer_step_ms.unwrap_or(question.step_ms);
        let (from_ms, to_ms) = (question.from_unix_ms as u64, question.to_unix_ms as u64);
        let columns: Vec<u64> =
            (from_ms / step_ms..to_ms.div_ceil(step_ms)).map(|column| column * step_ms).collect();
        assert!(columns.len() <= 1_500);
        let asked = KeyRange::new(&*question.start, &*question.end).unwrap();
        let mut lineages: Vec<_> =
            self.lineages.iter().filter(|(_, range)| range.overlaps(&asked)).collect();
        lineages.sort_by(|a, b| a.1.cmp(&b.1));
        let mut rows: Vec<_> =
            lineages.iter().map(|l| self.row(l, &columns, step_ms, question.series())).collect();
        if self.faults.most_rows.is_some_and(|most| rows.len() > most) {
            let whole = history::MatrixRow {
                aggregate: true,
                start: rows[0].start.clone(),
                end: rows[rows.len() - 1].end.clone(),
                values: vec![1; columns.len()],
                ..history::MatrixRow::default()
            };
            rows = vec![whole];
        }
        history::GetMatrixResponse {
            step_ms,
            column_unix_ms: columns.iter().map(|&column| column as i64).collect(),
            rows,
            ..history::GetMatrixResponse::default()
        }
    }

    fn row(
        &self,
        (group, range): &(GroupId, KeyRange),
        columns: &[u64],
        step_ms: u64,
        series: history::Series,
    ) -> history::MatrixRow {
        let series = match series {
            history::Series::Reads => Series::Reads,
            history::Series::ReadBytes => Series::ReadBytes,
            history::Series::WriteBytes => Series::WriteBytes,
            history::Series::Writes | history::Series::Unspecified => Series::Writes,
        };
        let value = |column: &u64| {
            let cells = (*group, range.clone(), *column)..(*group, range.clone(), column + step_ms);
            self.cells.range(cells).map(|(_, counts)| counts.get(series)).sum()
        };
        let state = |column: &u64| {
            let recorded = self.windows.range(column..&(column + step_ms)).next().is_some();
            if recorded && self.faults.loses_window_ms != Some(*column) { 0 } else { 2 }
        };
        history::MatrixRow {
            start: range.start().to_vec().into(),
            end: range.end().to_vec().into(),
            raft_group_ids: vec![*group],
            values: columns.iter().map(value).collect(),
            states: columns.iter().map(state).collect::<Vec<u8>>().into(),
            ..history::MatrixRow::default()
        }
    }
}

#[tonic::async_trait]
impl IngestService for FakeNode {
    type IngestStream = ReceiverStream<Result<ingest::IngestResponse, Status>>;

    async fn ingest(
        &self,
        request: Request<Streaming<ingest::IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let mut incoming = request.into_inner();
        let Some(ingest::ingest_request::Message::Hello(hello)) =
            incoming.message().await?.unwrap().message
        else {
            return Err(Status::invalid_argument("hello first"));
        };
        let source = source_from_wire(&hello).unwrap();
        let (outgoing, responses) = mpsc::channel(64);
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            let next_sequence = state.lock().unwrap().next.get(&source).copied().unwrap_or(1);
            let welcome = ingest::Welcome { next_sequence, ..Default::default() };
            let mut message = ingest::ingest_response::Message::Welcome(welcome);
            loop {
                let response = ingest::IngestResponse { message: Some(message) };
                if outgoing.send(Ok(response)).await.is_err() {
                    return;
                }
                message = loop {
                    let Ok(Some(request)) = incoming.message().await else { return };
                    let Some(ingest::ingest_request::Message::Entry(entry)) = request.message
                    else {
                        return;
                    };
                    let step = state.lock().unwrap().take(&source, entry);
                    match step {
                        Step::Ack(ack) => break ingest::ingest_response::Message::Ack(ack),
                        Step::CutBefore | Step::CutAfter => return,
                        Step::Silent => {}
                    }
                };
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

#[tonic::async_trait]
impl HistoryService for FakeNode {
    async fn get_matrix(
        &self,
        request: Request<history::GetMatrixRequest>,
    ) -> Result<Response<history::GetMatrixResponse>, Status> {
        Ok(Response::new(self.state.lock().unwrap().matrix(request.get_ref())))
    }

    async fn get_lineage(
        &self,
        _: Request<history::GetLineageRequest>,
    ) -> Result<Response<history::GetLineageResponse>, Status> {
        Err(Status::unimplemented("not asked for by a replay"))
    }

    async fn get_hot_keys(
        &self,
        _: Request<history::GetHotKeysRequest>,
    ) -> Result<Response<history::GetHotKeysResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_top(
        &self,
        _: Request<history::GetTopRequest>,
    ) -> Result<Response<history::GetTopResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_events(
        &self,
        _: Request<history::GetEventsRequest>,
    ) -> Result<Response<history::GetEventsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}
