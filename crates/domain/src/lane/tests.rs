use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const OK: Answer = Answer::Status {
    code: 200,
    retry_after: None,
};
const RULES: Rules = Rules {
    under_way: 4,
    for_urgent: 1,
    batch: 1,
    batch_bytes: 64 * 1024,
    rate: None,
    request_rate: None,
};

fn parcel(load: &'static str) -> Parcel<&'static str> {
    Parcel {
        load,
        bytes: 1_000,
        key: None,
        urgent: false,
        alike: 0,
    }
}

fn urgent(load: &'static str) -> Parcel<&'static str> {
    Parcel {
        urgent: true,
        ..parcel(load)
    }
}

/// `a1` has the key `a`.
fn keyed(load: &'static str) -> Parcel<&'static str> {
    Parcel {
        key: Some(load[..1].into()),
        ..parcel(load)
    }
}

fn queue(parcels: impl IntoIterator<Item = Parcel<&'static str>>) -> Queue<&'static str> {
    let mut queue = Queue::default();
    parcels.into_iter().for_each(|parcel| queue.push(parcel));
    queue
}

fn loads(load: &Load<&'static str>) -> Vec<&'static str> {
    load.parcels.iter().map(|parcel| parcel.load).collect()
}

/// Everything that may go now, a request each.
fn all(queue: &mut Queue<&'static str>, rules: &Rules, now: Timestamp) -> Vec<Load<&'static str>> {
    std::iter::from_fn(|| queue.next(rules, now)).collect()
}

fn names(loads_of: &[Load<&'static str>]) -> Vec<Vec<&'static str>> {
    loads_of.iter().map(loads).collect()
}

#[test]
fn what_is_urgent_goes_first_and_finds_room() {
    let mut queue = queue(["1", "2", "3", "4"].map(parcel));
    let first = all(&mut queue, &RULES, NOW);
    // One of the four stays free.
    assert_eq!(names(&first), [["1"], ["2"], ["3"]]);
    queue.push(urgent("ring"));
    assert_eq!(names(&all(&mut queue, &RULES, NOW)), [["ring"]]);
    queue.done(&first[0], &OK, NOW);
    assert_eq!(names(&all(&mut queue, &RULES, NOW)), [["4"]]);
    first[1..]
        .iter()
        .for_each(|load| queue.done(load, &OK, NOW));
    assert!(!queue.is_idle());
    assert_eq!(queue.under_way(), 2);
}

#[test]
fn a_batch_is_filled_with_what_is_there_and_never_waits() {
    let rules = Rules {
        batch: 3,
        batch_bytes: 2_500,
        ..RULES
    };
    let large = Parcel {
        bytes: 10_000,
        ..parcel("large")
    };
    let other = Parcel {
        alike: 7,
        ..parcel("other")
    };
    let waiting = [parcel("1"), parcel("2"), large, parcel("3"), other];
    let sent = all(
        &mut queue(waiting),
        &Rules {
            under_way: 9,
            ..rules
        },
        NOW,
    );
    assert_eq!(
        names(&sent),
        [vec!["1", "2"], vec!["large"], vec!["3"], vec!["other"]]
    );
}

#[test]
fn parcels_with_the_same_key_go_one_after_the_other() {
    let mut queue = queue(["a1", "a2", "b1", "a3", "c1"].map(keyed));
    let sent = all(&mut queue, &RULES, NOW);
    assert_eq!(names(&sent), [["a1"], ["b1"], ["c1"]]);
    queue.done(&sent[0], &OK, NOW);
    let next = all(&mut queue, &RULES, NOW);
    assert_eq!(names(&next), [["a2"]]);
    // It failed: it stays in front of what has its key, and that waits with it.
    let [load] = next.try_into().unwrap();
    queue.done(&load, &Answer::TimedOut, NOW);
    let until = NOW + Duration::from_secs(10);
    queue.hold(load.parcels, until);
    assert!(queue.next(&RULES, NOW).is_none());
    assert_eq!(queue.wakes_at(&RULES, NOW), Some(until));
    assert_eq!(names(&all(&mut queue, &RULES, until)), [["a2"]]);
}

#[test]
fn a_batch_keeps_the_order_within_it() {
    let rules = Rules { batch: 10, ..RULES };
    let mut queue = queue(["a1", "b1", "a2"].map(keyed));
    let first = queue.next(&rules, NOW).unwrap();
    assert_eq!(loads(&first), ["a1", "b1", "a2"]);
    queue.push(keyed("a3"));
    assert!(queue.next(&rules, NOW).is_none());
    queue.done(&first, &Answer::SocketError, NOW);
    queue.hold(first.parcels, NOW);
    let again = queue.next(&rules, NOW).unwrap();
    assert_eq!(loads(&again), ["a1", "b1", "a2", "a3"]);
}

#[test]
fn a_failing_endpoint_gets_one_probe_and_what_is_urgent() {
    let mut queue = Queue::default();
    for _ in 0..10 {
        queue.push(parcel("x"));
        let load = queue.next(&RULES, NOW).unwrap();
        queue.done(&load, &Answer::SocketError, NOW);
    }
    ["1", "2"]
        .into_iter()
        .for_each(|load| queue.push(parcel(load)));
    assert!(queue.next(&RULES, NOW).is_none());
    let until = queue.wakes_at(&RULES, NOW).unwrap();
    assert_eq!(until, NOW + Duration::from_secs(30));
    queue.push(urgent("ring"));
    assert_eq!(names(&all(&mut queue, &RULES, NOW)), [["ring"]]);
    let probe = all(&mut queue, &RULES, until);
    assert_eq!(names(&probe), [["1"]]);
    queue.done(&probe[0], &OK, until);
    assert_eq!(names(&all(&mut queue, &RULES, until)), [["2"]]);
}

#[test]
fn the_rate_is_kept() {
    let rules = Rules {
        rate: Rate::parse("2/s"),
        ..RULES
    };
    let mut queue = queue(["1", "2", "3"].map(parcel));
    assert_eq!(names(&all(&mut queue, &rules, NOW)), [["1"], ["2"]]);
    let opens = queue.wakes_at(&rules, NOW).unwrap();
    assert!(queue.next(&rules, NOW).is_none());
    assert_eq!(names(&all(&mut queue, &rules, opens)), [["3"]]);
}

#[test]
fn a_batch_is_one_request_of_those_that_were_granted() {
    let rules = Rules {
        batch: 2,
        request_rate: Rate::parse("60/min"),
        ..RULES
    };
    let mut queue = queue(["1", "2", "3", "4"].map(parcel));
    assert_eq!(names(&all(&mut queue, &rules, NOW)), [["1", "2"]]);
    let opens = queue.wakes_at(&rules, NOW).unwrap();
    assert_eq!(opens.since(NOW).as_millis(), 1_000);
    assert_eq!(names(&all(&mut queue, &rules, opens)), [["3", "4"]]);
}

/// Whatever is pushed, held and answered in whatever order: of each key, one at a time, in order, and nothing is lost.
#[test]
fn order_holds_under_any_interleaving() {
    let mut state = 42_u64;
    let mut chance = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut queue: Queue<(usize, usize)> = Queue::default();
    let (mut pushed, mut delivered) = ([0_usize; 3], [0_usize; 3]);
    let mut under_way: Vec<Load<(usize, usize)>> = Vec::new();
    let mut now = NOW;
    for step in 0..20_000 {
        match chance(3) {
            0 if step < 15_000 => {
                let key = chance(3);
                queue.push(Parcel {
                    load: (key, pushed[key]),
                    bytes: 100,
                    key: Some(key.to_string().into()),
                    urgent: false,
                    alike: 0,
                });
                pushed[key] += 1;
            }
            1 => {
                let rules = Rules {
                    batch: 1 + chance(4),
                    ..RULES
                };
                under_way.extend(queue.next(&rules, now));
            }
            _ if !under_way.is_empty() => {
                let load = under_way.swap_remove(chance(under_way.len()));
                let fails = chance(4) == 0;
                queue.done(&load, if fails { &Answer::TimedOut } else { &OK }, now);
                if fails {
                    queue.hold(load.parcels, now + Duration::from_secs(1));
                    continue;
                }
                for parcel in load.parcels {
                    let (key, number) = parcel.load;
                    assert_eq!(number, delivered[key], "key {key} in order");
                    delivered[key] += 1;
                }
            }
            _ => now = now + Duration::from_secs(11),
        }
    }
    while !queue.is_idle() {
        now = now + Duration::from_secs(11);
        under_way.extend(queue.next(&RULES, now));
        if let Some(load) = under_way.pop() {
            queue.done(&load, &OK, now);
            load.parcels
                .iter()
                .for_each(|parcel| delivered[parcel.load.0] += 1);
        }
    }
    assert_eq!(pushed, delivered);
}
