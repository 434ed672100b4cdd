//! Choosing columns, an order, or what to group by.

/// What is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Columns, and where they stand.
    Columns,
    /// What the connections are sorted by.
    Sort,
    /// What to group by.
    Fields,
    /// What the groups are sorted by.
    GroupSort,
}

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// A list to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chooser {
    /// What is chosen.
    pub topic: Topic,
    /// All there is.
    pub all: Vec<Choice>,
    /// What was typed to narrow it down.
    pub filter: String,
    /// The one that keys are about, among those that are shown.
    pub at: usize,
    /// What was chosen, in order: for fields, whose order matters.
    pub chosen: Vec<String>,
    /// Whether somebody has chosen or unchosen something.
    pub is_touched: bool,
}

impl Chooser {
    /// With all there is, and what is chosen of it.
    pub(crate) fn new(topic: Topic, all: Vec<(String, String)>, chosen: &[String]) -> Self {
        let choice = |(name, meaning): (String, String)| Choice {
            is_chosen: chosen.contains(&name),
            name,
            meaning,
        };
        let all: Vec<Choice> = all.into_iter().map(choice).collect();
        let first = chosen.first();
        let at = all.iter().position(|choice| Some(&choice.name) == first);
        Self {
            topic,
            at: at.filter(|_| topic != Topic::Columns).unwrap_or(0),
            all,
            filter: String::new(),
            chosen: chosen.to_vec(),
            is_touched: false,
        }
    }

    /// Whether several can be chosen.
    pub const fn is_many(&self) -> bool {
        matches!(self.topic, Topic::Columns | Topic::Fields)
    }

    /// Those that have what was typed in their name, else in their meaning.
    pub fn shown(&self) -> Vec<&Choice> {
        let typed = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&typed);
        let by_name: Vec<&Choice> = self.all.iter().filter(|one| has(&one.name)).collect();
        match by_name.is_empty() {
            true => self.all.iter().filter(|one| has(&one.meaning)).collect(),
            false => by_name,
        }
    }

    /// The one that keys are about.
    pub fn current(&self) -> Option<&Choice> {
        self.shown().get(self.at).copied()
    }

    /// Moves by so many.
    pub(crate) fn step(&mut self, by: isize) {
        let last = self.shown().len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
    }

    /// Chooses the current one, or does not any more; at most so many.
    pub(crate) fn toggle(&mut self, most: usize) {
        let Some(name) = self.current().map(|choice| choice.name.clone()) else {
            return;
        };
        let Some(choice) = self.all.iter_mut().find(|choice| choice.name == name) else {
            return;
        };
        self.is_touched = true;
        if choice.is_chosen {
            choice.is_chosen = false;
            self.chosen.retain(|chosen| *chosen != name);
        } else if self.chosen.len() < most {
            choice.is_chosen = true;
            self.chosen.push(name);
        }
    }

    /// Moves the current one among all.
    pub(crate) fn carry(&mut self, by: isize) {
        let target = self.at.saturating_add_signed(by);
        if !self.filter.is_empty() || target >= self.all.len() || target == self.at {
            return;
        }
        self.all.swap(self.at, target);
        self.at = target;
    }

    /// What was chosen, in the order in which it is shown.
    pub fn in_order(&self) -> Vec<String> {
        let chosen = self.all.iter().filter(|choice| choice.is_chosen);
        chosen.map(|choice| choice.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooser(topic: Topic, chosen: &[&str]) -> Chooser {
        let all = ["src", "dst", "sport"].map(|name| (name.to_owned(), format!("the {name}")));
        let chosen: Vec<String> = chosen.iter().map(|&name| name.to_owned()).collect();
        Chooser::new(topic, all.to_vec(), &chosen)
    }

    #[test]
    fn fields_keep_the_order_in_which_they_were_chosen() {
        let mut chooser = chooser(Topic::Fields, &["sport"]);
        chooser.at = 0;
        chooser.toggle(4);
        assert_eq!(chooser.chosen, ["sport", "src"]);
        chooser.step(1);
        chooser.toggle(2);
        assert_eq!(chooser.chosen, ["sport", "src"], "no more than two");
    }

    #[test]
    fn typing_narrows_the_list_down() {
        let mut chooser = chooser(Topic::Sort, &[]);
        chooser.filter = "sp".to_owned();
        assert_eq!(chooser.current().unwrap().name, "sport");
        chooser.step(5);
        assert_eq!(chooser.at, 0);
    }

    #[test]
    fn columns_are_carried_to_other_places() {
        let mut chooser = chooser(Topic::Columns, &["src", "sport"]);
        chooser.carry(1);
        chooser.carry(1);
        chooser.carry(1);
        assert_eq!(chooser.in_order(), ["sport", "src"]);
    }
}
