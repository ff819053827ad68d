"""What the schema says where its libraries have no place for it: of values of enumerations, and of whole inputs."""

from graphql import GraphQLArgument, GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from graphql import get_named_type as named

from api.community import value_words as of_community
from api.customers import value_words as of_customers
from api.loyalty import value_words as of_loyalty
from api.referrals import value_words as of_referrals
from api.service import care_value_words as of_care
from api.service import value_words as of_service

# The enumerations themselves are the rules' own, and those know nothing of GraphQL.
VALUE_WORDS: dict[str, dict[str, str]] = {
    **of_community.WORDS,
    **of_customers.WORDS,
    **of_loyalty.WORDS,
    **of_referrals.WORDS,
    **of_service.WORDS,
    **of_care.WORDS,
}


def describe(schema: GraphQLSchema) -> None:
    """Add these words to a schema that was just built."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLEnumType):
            describe_values(type_)
        elif isinstance(type_, GraphQLObjectType):
            for field in type_.fields.values():
                for argument in field.args.values():
                    describe_input(argument)


def describe_values(type_: GraphQLEnumType) -> None:
    words = VALUE_WORDS.get(type_.name, {})
    for name, value in type_.values.items():
        value.description = value.description or words.get(name)


def describe_input(argument: GraphQLArgument) -> None:
    """An argument that is one whole input says what the input says."""
    type_ = named(argument.type)
    if argument.description is None and isinstance(type_, GraphQLInputObjectType):
        argument.description = type_.description
