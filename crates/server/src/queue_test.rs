use std::sync::mpsc;

use keyviz_lineage::clock::ManualClock;

use super::*;

fn queue() -> Arc<Queue> {
    Arc::new(Queue::new(Arc::new(ManualClock::at(1_000))))
}

fn text(queue: &Queue) -> String {
    let registry = Registry::new();
    queue.register(&registry).unwrap();
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// Two questions that run until something is sent to each.
async fn occupied(queue: &Arc<Queue>) -> Vec<mpsc::Sender<()>> {
    let mut ends = Vec::new();
    for _ in 0..RUNNING {
        let ((end, ended), (begin, begun)) = (mpsc::channel(), tokio::sync::oneshot::channel());
        let busy = Arc::clone(queue);
        tokio::spawn(async move {
            busy.in_turn("matrix", move |_| {
                begin.send(()).unwrap();
                Ok(ended.recv().unwrap())
            })
            .await
        });
        begun.await.unwrap();
        ends.push(end);
    }
    ends
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_says_what_to_narrow() {
    let queue = queue();
    let extent = Extent { rows: 10_000, columns: 1_500 };
    let asked = queue.in_turn("matrix", move |rooms| Ok(rooms.take(extent)?)).await;
    let error = asked.err().unwrap().to_string();
    for word in ["10000 rows", "1500 columns", "915 MiB", "512 MiB", "fewer rows", "shorter span"] {
        assert!(error.contains(word), "{error}");
    }
    let half = Extent { rows: 1_024, columns: 8_000 };
    let rooms = &queue.rooms;
    let (first, second) = (rooms.take(half).unwrap(), rooms.take(half).unwrap());
    let third = queue.in_turn("matrix", move |rooms| Ok(rooms.take(half)?)).await;
    let error = third.err().unwrap().to_string();
    assert!(error.contains("500 MiB") && error.contains("in a moment"), "{error}");
    assert!(rooms.take(Extent { rows: 10, columns: 60 }).is_ok(), "what is small is let in");
    assert!(text(&queue).contains("keyviz_query_answer_bytes 1048576000"), "{}", text(&queue));
    drop(first);
    assert!(rooms.take(half).is_ok(), "there is room again");
    drop(second);
    assert_eq!(rooms.held_bytes(), 0);
    for reason in ["too_large", "memory"] {
        let line = format!("keyviz_query_refused_total{{reason=\"{reason}\"}} 1");
        assert!(text(&queue).contains(&line), "{}", text(&queue));
    }
}

#[tokio::test]
async fn who_leaves_waits_no_longer_and_what_runs_keeps_its_turn() {
    let queue = queue();
    let ends = occupied(&queue).await;
    let mut waits = Box::pin(queue.in_turn("lineage", |_| Ok(())));
    assert!(futures::poll!(waits.as_mut()).is_pending());
    let state = text(&queue);
    assert!(state.contains("state=\"running\"} 2") && state.contains("state=\"waiting\"} 1"));
    drop(waits);
    assert!(text(&queue).contains("state=\"waiting\"} 0"), "it has left");
    for end in ends {
        end.send(()).unwrap();
    }
    queue.in_turn("lineage", |_| Ok(())).await.unwrap();
    assert!(text(&queue).contains("keyviz_query_duration_seconds_count{kind=\"lineage\"} 1"));
}

#[tokio::test]
async fn more_than_may_wait_are_refused_at_once_and_none_waits_for_ever() {
    let queue = Arc::new(Queue {
        max_wait: Duration::ZERO,
        ..Queue::new(Arc::new(ManualClock::at(1_000)))
    });
    let ends = occupied(&queue).await;
    let waited = queue.in_turn("matrix", |_| Ok(())).await;
    assert!(matches!(waited, Err(NodeError::Waited)));
    let patient = Arc::new(Queue {
        running: Arc::clone(&queue.running),
        ..Queue::new(Arc::new(ManualClock::at(1_000)))
    });
    let mut waiting: Vec<_> =
        (0..RUNNING + WAITING).map(|_| Box::pin(patient.in_turn("matrix", |_| Ok(())))).collect();
    for one in &mut waiting {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    let refused = patient.in_turn("matrix", |_| Ok(())).await;
    assert!(matches!(refused, Err(NodeError::Busy)));
    for end in ends {
        end.send(()).unwrap();
    }
    for one in waiting {
        one.await.unwrap();
    }
}
