"""A workflow of the user's own under test: a definition alone becomes a scenario, without a reference model.

    document   the file: workflow, definition, what is sent, how calls are answered
    adapt      what of a definition has to be changed for a test, and what cannot be tested
    template   payloads made of a document with placeholders
    scenario   all of that as a scenario

What is proved of it, and what is not, is in docs/concurrency/your-own-workflow.md.
"""
