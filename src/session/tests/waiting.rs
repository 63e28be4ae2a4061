//! Turns that wait for their store, and what becomes of them.

use super::*;
use crate::session::spool::Spool;

#[tokio::test]
async fn turns_a_store_cannot_take_are_written_in_order_and_once_when_it_is_back() {
    for mood in [Mood::Away, Mood::Silent, Mood::Broken] {
        let stage = Stage::new();
        let sessions = stage.sessions();
        assert!(is_stored(&sessions.append(&key("a"), turn("a0", None)).await));
        stage.store.is_now(mood);
        for at in 1..=40 {
            assert_eq!(sessions.append(&key("a"), turn(&format!("a{at}"), None)).await, Kept::Spooled);
            assert_eq!(sessions.append(&key("b"), turn(&format!("b{at}"), None)).await, Kept::Spooled);
        }
        stage.check_metrics(&[("spool_turns", 80.0), (r#"turns_total{result="spooled"}"#, 80.0)]);
        stage.store.is_now(Mood::Well);
        stage.until_drained().await;
        let expected =
            |name: &str, from: usize| (from..=40).map(|it| format!("{name}{it}")).collect::<Vec<_>>();
        assert_eq!(stage.store.turns_of("a"), expected("a", 0), "{mood:?}");
        assert_eq!(stage.store.turns_of("b"), expected("b", 1), "{mood:?}");
        stage.check_metrics(&[
            ("spool_bytes", 0.0),
            ("store_up", 1.0),
            (r#"turns_total{result="drained"}"#, 80.0),
            (r#"turns_total{result="lost"}"#, 0.0),
        ]);
        assert!(is_stored(&sessions.append(&key("a"), turn("a41", None)).await));
    }
}

#[tokio::test]
async fn turns_that_wait_outlive_the_gateway_and_are_written_though_nobody_calls() {
    let stage = Stage::new();
    stage.store.is_now(Mood::Away);
    for life in 0..3 {
        let sessions = stage.sessions();
        for at in 0..5 {
            let id = format!("{life}-{at}");
            assert_eq!(sessions.append(&key("a"), turn(&id, None)).await, Kept::Spooled);
        }
    }
    let sessions = stage.sessions();
    assert!(sessions.load(&key("a"), WINDOW).await.is_err(), "what waits is not known yet, or not written");
    stage.store.is_now(Mood::Well);
    drop(sessions);
    let sessions = stage.sessions();
    let held = sessions.load(&key("a"), WINDOW).await.unwrap().unwrap();
    let expected: Vec<_> = (0..15).map(|it| format!("{}-{}", it / 5, it % 5)).collect();
    assert_eq!(ids(&held), expected);
    stage.until_drained().await;
    drop(sessions);
    stage.store.is_now(Mood::Away);
    let sessions = stage.sessions();
    assert_eq!(sessions.append(&key("c"), turn("c", None)).await, Kept::Spooled);
    drop(sessions);
    stage.store.is_now(Mood::Well);
    let _sessions = stage.sessions();
    until(|| stage.store.turns_of("c") == ["c"]).await;
}

#[tokio::test]
async fn a_turn_that_can_never_be_written_blocks_no_other() {
    let mut stage = Stage::new();
    stage.options.store_trial_ms = 10;
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Away);
    for id in ["gone", "corrupt", "well"] {
        assert_eq!(sessions.append(&key(id), turn(id, None)).await, Kept::Spooled);
    }
    stage.store.drops("gone");
    stage.store.chokes_on("corrupt");
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("well"), ["well"]);
    stage.check_metrics(&[
        (r#"turns_total{result="drained"}"#, 1.0),
        (r#"turns_total{result="gone"}"#, 1.0),
        (r#"turns_total{result="lost"}"#, 1.0),
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_acknowledged_waits_as_long_as_its_shard_is_away_and_holds_up_no_other() {
    let mut stage = Stage::new();
    stage.options.store_trial_ms = 10;
    let sessions = stage.sessions();
    let cut_off = ["c0", "c1", "c2", "c3", "c4", "c5"];
    stage.store.is_now(Mood::Away);
    for id in cut_off.iter().chain(&["well", "fine"]) {
        for at in 0..2 {
            assert_eq!(sessions.append(&key(id), turn(&format!("{id}-{at}"), None)).await, Kept::Spooled);
        }
    }
    stage.store.cuts_off(&cut_off);
    stage.store.is_now(Mood::Well);
    until(|| stage.metric("tollgate_session_spool_turns") == 12.0).await;
    assert_eq!(stage.store.turns_of("well"), ["well-0", "well-1"]);
    assert_eq!(stage.store.turns_of("fine"), ["fine-0", "fine-1"]);
    let tried = stage.store.asked("check");
    sleep(Duration::from_secs(60)).await;
    assert!(stage.store.asked("check") <= tried + 1, "the store itself is not in question");
    stage.check_metrics(&[("spool_turns", 12.0), (r#"turns_total{result="lost"}"#, 0.0)]);
    stage.store.cuts_off(&[]);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("c5"), ["c5-0", "c5-1"]);
    stage.check_metrics(&[("store_up", 1.0), (r#"turns_total{result="drained"}"#, 16.0)]);
}

#[tokio::test]
async fn a_full_spool_and_one_without_a_disk_lose_turns_and_say_so() {
    let mut stage = Stage::new();
    stage.options.spool_bytes_max = 700;
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Away);
    let mut kept = Vec::new();
    for at in 0..5 {
        kept.push(sessions.append(&key("a"), turn(&at.to_string(), None)).await);
    }
    let spooled = kept.iter().take_while(|it| **it == Kept::Spooled).count();
    assert!((1..5).contains(&spooled), "{kept:?}");
    assert!(matches!(&kept[spooled], Kept::Lost(why) if why.to_string().contains("spool_bytes_max")));
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("a").len(), spooled);

    stage.options.spool_file = "no/such/folder/spool.redb".into();
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Away);
    let lost = sessions.append(&key("b"), turn("b", None)).await;
    assert!(matches!(&lost, Kept::Lost(why) if why.to_string().contains("spool_file")), "{lost:?}");
    stage.store.is_now(Mood::Well);
    assert!(is_stored(&sessions.append(&key("b"), turn("b", None)).await), "the store alone will do");
}

#[tokio::test]
async fn a_file_that_is_no_spool_stops_nothing() {
    let stage = Stage::new();
    let content = vec![b'x'; 10_000];
    stage.folder.write(&stage.options.spool_file, &content);
    let sessions = stage.sessions();
    until(|| !sessions.state().is_away).await;
    let load = async { while sessions.load(&key("a"), WINDOW).await.is_err() {} };
    timeout(PATIENCE, load).await.expect("the store is asked");
    assert!(is_stored(&sessions.append(&key("a"), turn("a", None)).await));
    assert_eq!(stage.folder.read(&stage.options.spool_file), content, "it is left as it is");
}

#[tokio::test]
async fn two_processes_in_one_folder_have_turns_wait_side_by_side_and_what_one_leaves_the_other_writes() {
    let stage = Stage::new();
    let named = stage.folder.path().join(&stage.options.spool_file);
    let held = crate::session::file::open(&named, "", 1 << 20).unwrap();
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Away);
    assert_eq!(sessions.append(&key("a"), turn("1", None)).await, Kept::Spooled);
    stage.store.is_now(Mood::Well);
    until(|| stage.store.turns_of("a") == ["1"]).await;
    stage.until_drained().await;
    drop(held);
    // nothing waits: the file is let go of
    until(|| crate::session::file::open(&named, "", 1 << 20).is_ok()).await;
    stage.store.is_now(Mood::Away);
    assert_eq!(sessions.append(&key("b"), turn("1", None)).await, Kept::Spooled);
    drop(sessions);
    until(|| crate::session::file::open(&named, "", 1 << 20).is_ok()).await;
    let name = &stage.options.spool_file;
    stage.folder.rename(name, &format!("{name}.2"));
    stage.store.is_now(Mood::Well);
    let _sessions = stage.sessions();
    until(|| stage.store.turns_of("b") == ["1"]).await;
}

#[tokio::test]
async fn a_turn_whose_write_to_disk_failed_is_not_found_there_later() {
    let stage = Stage::new();
    let path = stage.folder.path().join(&stage.options.spool_file);
    let spool = Spool::at(&path, stage.metrics.sessions());
    for at in 0..2 {
        spool.put(&key("a"), &turn(&at.to_string(), None), 1 << 20).await.unwrap();
    }
    assert_eq!(spool.waiting().0, 2);
    {
        // as after a commit that failed halfway
        let mut files = spool.files();
        files.open = None;
        files.torn = vec![1];
    }
    spool.read_in().await.unwrap();
    assert_eq!(spool.waiting().0, 1);
}

#[tokio::test]
async fn many_turns_at_once_share_writes_to_disk() {
    let stage = Stage::new();
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Away);
    let appends = (0..500).map(|at| {
        let sessions = Arc::clone(&sessions);
        let id = at.to_string();
        tokio::spawn(async move { sessions.append(&key(&format!("s{}", at % 50)), turn(&id, None)).await })
    });
    for append in appends.collect::<Vec<_>>() {
        assert_eq!(append.await.unwrap(), Kept::Spooled);
    }
    sessions.close().await;
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    let written: usize = (0..50).map(|it| stage.store.turns_of(&format!("s{it}")).len()).sum();
    assert_eq!(written, 500);
}

#[tokio::test]
async fn the_sessions_of_the_last_configuration_and_the_next_share_one_spool() {
    let stage = Stage::new();
    let (last, next) = (stage.sessions(), stage.sessions());
    stage.store.is_now(Mood::Away);
    assert_eq!(last.append(&key("a"), turn("1", None)).await, Kept::Spooled);
    assert_eq!(next.append(&key("a"), turn("2", None)).await, Kept::Spooled);
    assert_eq!(last.append(&key("a"), turn("3", None)).await, Kept::Spooled);
    assert_eq!((last.state().waiting_turns, next.state().waiting_turns), (3, 3));
    // a reload that was refused after all: the last one goes on
    drop(next);
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("a"), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_turn_that_a_call_of_before_a_reload_left_is_written_though_nobody_calls() {
    let stage = Stage::new();
    let last = stage.sessions();
    let _next = stage.reloaded(Some(&last));
    // both see that there is nothing to do
    sleep(Duration::from_millis(20)).await;
    stage.store.is_now(Mood::Away);
    assert_eq!(last.append(&key("a"), turn("1", None)).await, Kept::Spooled);
    drop(last);
    stage.store.is_now(Mood::Well);
    until(|| stage.store.turns_of("a") == ["1"]).await;
}
