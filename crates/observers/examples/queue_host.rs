//! A host with queues, told by standard input what happens:
//!
//! ```text
//! send orders 3                 an action (send, receive, delete), a queue, a partition
//! poll orders=5 mail=0          the depths of all queues that there are (none: `poll`)
//! poll-failed                   they could not be had
//! metrics                       prints what Prometheus would read
//! ```
//! Run it: `cargo run -p keyviz-observers --features queues --example queue_host`

use std::error::Error;
use std::io;

use keyviz_observers::prometheus::Registry;
use keyviz_observers::queues::{Action, QueueDepth, QueueObserver};
use keyviz_observers::text;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new_custom(Some("shop".to_owned()), None)?;
    let observer = QueueObserver::new(&registry)?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["metrics"] => println!("{}# end", text(&registry)?),
            ["poll-failed"] => observer.polled(Err("the leader could not be reached")),
            ["poll", ref queues @ ..] => {
                let depths: Result<Vec<_>, _> = queues.iter().map(|text| depth(text)).collect();
                observer.polled(Ok::<_, String>(depths?));
            }
            [action, queue, partition] => {
                let action = match action {
                    "send" => Action::Send,
                    "receive" => Action::Receive,
                    "delete" => Action::Delete,
                    _ => return Err(format!("{action:?} is no action").into()),
                };
                observer.messages(queue, partition.parse()?, action, 1);
            }
            _ => return Err(format!("{line:?} is nothing that happens").into()),
        }
    }
    Ok(())
}

fn depth(text: &str) -> Result<QueueDepth, Box<dyn Error>> {
    let (queue, visible) = text.split_once('=').ok_or("use queue=depth")?;
    Ok(QueueDepth { queue: queue.to_owned(), visible: visible.parse()?, ..QueueDepth::default() })
}
