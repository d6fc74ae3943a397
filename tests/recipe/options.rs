//! What is asked of judges, pairs and filters, and what is said when it cannot be.

use crate::check;

const DPO: &str = "type = \"FormatTextGenerationDPO\"";

#[test]
fn aspects_of_a_judge_are_known_and_differ() {
    check(
        "model = \"judge\"\n",
        "model = \"judge\"\naspect = [\"honesty\", \"honestly\"]\n",
        &["35:\"honestly\": `steps.judge.aspect` is one of \"overall-rating\", \"helpfulness\", \
           \"honesty\", \"instruction-following\", \"truthfulness\", or a list of such, not the text \
           \"honestly\" | did you mean `honesty`?"],
    );
    check(
        "model = \"judge\"\n",
        "model = \"judge\"\naspect = [\"honesty\", \"honesty\"]\nrubric = \"r.txt\"\n",
        &[
            "35:[\"honesty\", \"honesty\"]: `aspect` has `honesty` twice",
            "36:\"r.txt\": one `rubric` for 2 aspects \
             | a file replaces the rubric of one aspect: give each a step of its own",
        ],
    );
}

#[test]
fn options_of_pairs_do_not_undo_each_other() {
    check(
        DPO,
        &format!("{DPO}\npolicy = \"best-mu2sigma\"\nmax_length_ratio = 0.5\nmin_margn = 1"),
        &[
            "39:\"best-mu2sigma\": this policy takes 5 answers or more, 2 come together here \
             | raise `num_generations`, or choose another `policy`",
            "40:0.5: `max_length_ratio` is 0.5 | the longer text over the shorter one, so 1 or more",
            "41:min_margn: `steps.dpo.min_margn` is no key of a recipe | did you mean `min_margin`?",
        ],
    );
    check(
        DPO,
        &format!("{DPO}\nmin_margin = 0.5\nties = \"shorter\"\nmax_pairs_per_prompt = 3"),
        &[
            "40:\"shorter\": `min_margin` 0.5 leaves no pair to a tie \
             | delete `ties`, or set `min_margin = 0`",
            "41:3: `max_pairs_per_prompt` bounds `all-ordered`; other policies make one pair \
             | delete it, or set `policy = \"all-ordered\"`",
        ],
    );
}

#[test]
fn a_filter_compares_what_can_be_compared() {
    let filter = |lines: &str| format!("type = \"FilterRows\"\n{lines}");
    check(
        DPO,
        &filter("column = \"rating[0]\"\nop = \"contain\"\nvalue = 3"),
        &[
            "39:\"rating[0]\": `dpo` needs the column `rating`, which nothing before it provides \
             | did you mean `ratings`?",
            "40:\"contain\": `steps.dpo.op` is one of \"==\", \"!=\", \"<\", \"<=\", \">\", \">=\", \"in\", \
             \"not-in\", \"contains\", \"lacks\", \"min-length\", \"max-length\", \"null\", \"not-null\", \
             not the text \"contain\" | did you mean `contains`?",
        ],
    );
    check(
        DPO,
        &filter("column = \"ratings[0]\"\nop = \"in\"\nvalue = 3"),
        &["41:3: `in` compares with a list of texts, numbers or truth values, not with 3"],
    );
    check(DPO, &filter("column = \"ratings[0]\"\nop = \"in\"\nvalue = [3, 4.5, \"x\"]"), &[]);
    check(
        DPO,
        "type = \"MinHashDedup\"\ncolumn = \"instructions\"\nthreshold = 90",
        &[
            "39:\"instructions\": `dpo` needs the column `instructions`, which nothing before it provides \
             | did you mean `instruction`?",
            "40:90: `threshold` is 90.0 \
             | a share of common shingles, from 0.1 to 1; 1 asks for equal texts",
        ],
    );
}

#[test]
fn a_test_split_is_a_share() {
    check(
        "seed = 7",
        "seed = 7\ntest_share = 5",
        &["4:5: `test_share` is 5.0 | a share of the prompts: from 0 (no test split), below 1"],
    );
}

#[test]
fn people_are_asked_with_numbers_that_can_be_and_without_a_key() {
    let argilla = |lines: &str| format!("type = \"PreferenceToArgilla\"\n{lines}");
    check(
        DPO,
        &argilla(
            "num_generations = 0\ndataset_name = \" \"\napi_url = \"https://me:pw@host\"\napi_key = \"k\"",
        ),
        &[
            "39:0: `num_generations` is 0 | as many answers as a row has, from 1 to 32",
            "40:\" \": the data set's name has 1 characters | from 1 to 200, not all of them blank",
            "41:\"https://me:pw@host\": `api_url` holds a name or a password \
             | an address is https://HOST or http://HOST:PORT; the key comes from ARGILLA_API_KEY alone",
            "42:\"k\": a key does not belong in a recipe \
             | delete the line and set ARGILLA_API_KEY: recipes are copied and shared",
        ],
    );
    check(DPO, &argilla("num_generations = 2\ndataset_name = \"d\""), &[]);
}

#[test]
fn whose_ratings_count_is_said_whole() {
    check(
        DPO,
        &format!("{DPO}\nhuman_ratings = \"human.jsonl\""),
        &["39:\"human.jsonl\": `human_ratings` is not read: the judge's ratings count \
           | add `ratings_from = \"human-then-judge\"`, or delete this line"],
    );
    check(
        DPO,
        &format!("{DPO}\nratings_from = \"human\""),
        &["39:\"human\": where people's ratings are is not said \
           | add `human_ratings = \"runs/NAME/human.jsonl\"`, which `stillroom pull argilla` writes"],
    );
    let both = "ratings_from = \"human-then-judge\"\nhuman_ratings = \"human.jsonl\"";
    check(DPO, &format!("{DPO}\n{both}"), &[]);
}
