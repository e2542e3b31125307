"""
HallusionBench, the 951 questions with a picture: yes or no, of one figure and its edited copies.

aAcc is the share of right answers, fAcc of figures of which every question is right, qAcc of questions that are right with
every figure. Its authors ask GPT-4 whether an answer is right; here yes and no are read strictly: "unknown" is neither.
"""

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import all_of_group, average_of_figures, groups_of, mean
from open_vr1.evals.harness_task import functions_of

YES_NO = {"0": "no", "1": "yes"}


def read(row: Row) -> Question:
    members = row["category"], row["subcategory"], row["set_id"]
    scene = "_".join(map(str, members))
    unseen = row["category"] == "VS" and str(row["figure_id"]) == "0"  # Asked without a picture: no figure to count.
    return Question(
        id=f"{scene}_{row['figure_id']}_{row['question_id']}",
        text=row["question"],
        gold=YES_NO.get(str(row["gt_answer"])),
        official=row["question"],
        family=scene,
        groups=groups_of(
            {
                "category": row["category"],
                "subcategory": row["subcategory"],
                "figure": None if unseen else f"{scene}_{row['figure_id']}",
                "question": f"{scene}_{row['question_id']}",
            }
        ),
    )


A_ACC, F_ACC, Q_ACC = mean(), all_of_group("figure"), all_of_group("question")
BENCHMARK = Benchmark(
    name="hallusion_bench",
    title="HallusionBench",
    read=read,
    pictures=lambda row: [row["image"]],
    schema="lmms_eval/tasks/hallusion_bench/utils.py",
    figures={"aAcc": A_ACC, "fAcc": F_ACC, "qAcc": Q_ACC, "average": average_of_figures(A_ACC, F_ACC, Q_ACC)},
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
