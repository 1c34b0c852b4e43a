//! What the lists of backups and of restores have in common: their order, their time range, and their pages.

use crate::support::column;
use ootheca_testkit::{Answer, Client};
use serde_json::{Value, json};

/// The list of six backups or restores.
pub(crate) struct List<'a> {
    client: &'a Client,
    path: &'a str,
    /// The member of a response with the items.
    member: &'a str,
    /// The IDs of the items, oldest first.
    ids: Vec<String>,
    /// Their times.
    times: Vec<String>,
}

impl<'a> List<'a> {
    /// The list at `path`. `time` is the member of an item by which it is ordered. `all` are the items, oldest first.
    #[track_caller]
    pub(crate) fn new(client: &'a Client, path: &'a str, member: &'a str, time: &str, all: &[Value]) -> Self {
        let all = json!(all);
        let (ids, times) = (column(&all, "id"), column(&all, time));
        assert_eq!(ids.len(), 6, "{all:#}");
        Self { client, path, member, ids, times }
    }

    fn get(&self, query: &str) -> Answer {
        self.client.get(&format!("{}?{query}", self.path))
    }

    #[track_caller]
    fn ids_of(&self, query: &str) -> Vec<String> {
        column(&self.get(query).ok()[self.member], "id")
    }

    /// The newest items come first by default. A time range contains its start but not its end.
    #[track_caller]
    pub(crate) fn is_ordered_and_filtered_by_time(&self) {
        let (ids, [second, fifth]) = (&self.ids, [&self.times[1], &self.times[4]]);
        let reversed: Vec<String> = ids.iter().rev().cloned().collect();
        assert_eq!(self.ids_of("pagination.sort_order=ASC"), *ids);
        assert_eq!(self.ids_of("pagination.sort_order=DESC"), reversed);
        assert_eq!(self.ids_of(""), reversed, "newest first by default");
        let between = format!("start_time={second}&end_time={fifth}");
        let ascending = |range: &str| self.ids_of(&format!("{range}&pagination.sort_order=ASC"));
        assert_eq!(ascending(&between), ids[1..4], "with its start, without its end");
        let newest = self.ids_of(&format!("{between}&pagination.sort_order=DESC&pagination.limit=2"));
        assert_eq!(newest, reversed[2..4]);
        assert_eq!(ascending(&format!("start_time={fifth}")), ids[4..]);
        assert_eq!(ascending(&format!("end_time={second}")), ids[..1]);
        assert_eq!(self.ids_of(&format!("start_time={fifth}&end_time={second}")), [""; 0]);
        for field in ["start_time", "end_time"] {
            let answer = self.get(&format!("{field}=noon"));
            assert!(answer.refused(400).contains(field), "{answer}");
        }
    }

    /// The IDs on a page, and the tokens of the next and the previous one.
    #[track_caller]
    fn page(&self, order: &str, token: &str) -> (Vec<String>, String, String) {
        let query = format!("pagination.limit=2&pagination.sort_order={order}&pagination.page={token}");
        let answer = self.get(&query);
        let ids = column(&answer.ok()[self.member], "id");
        (ids, answer.text("/pagination/next_page"), answer.text("/pagination/previous_page"))
    }

    /// Pages contain each item once, in both directions. Their tokens belong to one time range.
    #[track_caller]
    pub(crate) fn has_pages(&self) {
        let mut expected = self.ids.clone();
        for order in ["ASC", "DESC"] {
            let (mut seen, mut token) = (Vec::new(), String::new());
            let last = loop {
                let (ids, next, previous) = self.page(order, &token);
                assert_eq!((ids.len(), previous.is_empty()), (2, seen.is_empty()), "{order}");
                seen.extend(ids);
                if next.is_empty() {
                    break previous;
                }
                token = next;
            };
            assert_eq!(seen, expected, "{order}");
            let (before, _, _) = self.page(order, &last);
            assert_eq!(before, expected[2..4], "{order}: the page before the last one");
            let other_range = format!("pagination.page={token}&start_time={}", self.times[0]);
            assert!(self.get(&other_range).refused(400).contains("pagination.page"), "{order}");
            expected.reverse();
        }
        assert_eq!(self.ids_of("pagination.limit=0").len(), self.ids.len(), "the default limit");
        assert!(self.get("pagination.limit=-1").refused(400).contains("pagination.limit"));
    }
}
