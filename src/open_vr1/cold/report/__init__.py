def write_report(facts, build, folder): (folder/"report.html").write_text("todo")
