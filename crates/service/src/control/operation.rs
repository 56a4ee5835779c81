//! Operations of the control plane, by the id that their answer carries. All have ended when they are answered;
//! a client that polls one all the same learns so.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domain::time::Timestamp;
use uuid::Uuid;
use wire::arm::ResourceId;

use crate::App;

/// How many are known.
const KEPT: usize = 1_000;

/// The last operations of this node.
#[derive(Default)]
pub(crate) struct Operations(Mutex<VecDeque<(Uuid, Operation)>>);

/// An operation that has ended.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What it was done to.
    pub resource: ResourceId,
    /// When.
    pub at: Timestamp,
}

impl App {
    /// Notes that something was done to a resource; answers the operation's id.
    pub fn note_operation(&self, resource: &ResourceId) -> Uuid {
        let id = self.random.uuid();
        let operation = Operation {
            resource: resource.clone(),
            at: self.clock.now(),
        };
        let mut kept = self.control.operations.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((id, operation));
        id
    }

    /// The operation with this id, if it is one of the last.
    pub fn operation(&self, id: &str) -> Option<Operation> {
        let id = Uuid::try_parse(id).ok()?;
        let kept = self.control.operations.lock();
        let found = kept.iter().find(|(known, _)| *known == id);
        found.map(|(_, operation)| operation.clone())
    }
}

impl Operations {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Uuid, Operation)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
