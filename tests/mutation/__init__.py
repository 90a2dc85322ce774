"""Mutation testing of the function: small changes of the code, each of which some unit test should notice."""
