//! What this node tells its peers: its own part of an answer, and nothing of theirs.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream};
use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::peer_service_server::PeerService;
use keyviz_query::fan_out::Cells;
use prost::Message;
use tonic::{Request, Response, Status};

use super::status;
use crate::fan_out;
use crate::fan_out::peer::MAX_ANSWER_BYTES;
use crate::fan_out::wire::{cells_to_wire, outline_to_wire, plan_from_wire};
use crate::node::Node;

pub(super) struct Peers {
    node: Arc<Node>,
}

impl Peers {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// All of it lies in memory by now: a peer that reads slowly keeps no question waiting.
fn messages<M: Message + 'static>(messages: Vec<M>) -> Result<Response<Messages<M>>, Status> {
    let bytes: usize = messages.iter().map(Message::encoded_len).sum();
    if bytes > MAX_ANSWER_BYTES {
        return Err(Status::resource_exhausted(format!(
            "the answer to a peer would have {} MiB, more than {}; ask for a shorter span or fewer keys",
            bytes >> 20,
            MAX_ANSWER_BYTES >> 20
        )));
    }
    Ok(Response::new(Box::pin(stream::iter(messages.into_iter().map(Ok)))))
}

#[tonic::async_trait]
impl PeerService for Peers {
    type GetOutlineStream = Messages<wire::GetOutlineResponse>;
    type GetCellsStream = Messages<wire::GetCellsResponse>;

    async fn get_outline(
        &self,
        request: Request<wire::GetOutlineRequest>,
    ) -> Result<Response<Self::GetOutlineStream>, Status> {
        let request = request.into_inner();
        let (from, to) = (request.from_hour, request.to_hour);
        if from > to || to > u64::from(u32::MAX) {
            return Err(Status::invalid_argument(format!(
                "from_hour {from} to to_hour {to} is no stretch of Unix hours"
            )));
        }
        let instance = self.node.instance;
        let times = self.node.times_reopened();
        let told = self.node.ask("outline", move |recorder| {
            let view = recorder.view()?;
            let tag = [
                instance.as_bytes().as_slice(),
                &times.to_be_bytes(),
                &view.graph().revision().to_be_bytes(),
            ];
            let outline = fan_out::outline(&view, view.graph(), from..=to)?;
            Ok(outline_to_wire(&outline, instance, &tag.concat(), &request.records_tag))
        });
        messages(told.await.map_err(|error| status(&error))?)
    }

    async fn get_cells(
        &self,
        request: Request<wire::GetCellsRequest>,
    ) -> Result<Response<Self::GetCellsStream>, Status> {
        let plan = plan_from_wire(request.get_ref())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let told = self.node.ask("cells", move |recorder| {
            let view = recorder.view()?;
            Ok(cells_to_wire(&Cells::read(&view, view.graph(), &plan)))
        });
        messages(told.await.map_err(|error| status(&error))?)
    }
}
