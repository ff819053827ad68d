"""Data loaders of products: the rows of a page name them by their codes and need one question for all of them."""

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database
from service.products import Product, products_by_code, tags_of_products


class ProductLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def products(self) -> DataLoader[str, Product | None]:
        """Products by their codes."""

        async def load(codes: list[str]) -> list[Product | None]:
            async with self._database.read() as session:
                found = await products_by_code(session, codes)
            return [found.get(code) for code in codes]

        return DataLoader(load_fn=load)

    @made_once
    def tags(self) -> DataLoader[str, list[str]]:
        """The keys of what products are about, by the products' local ids."""

        async def load(ids: list[str]) -> list[list[str]]:
            async with self._database.read() as session:
                found = await tags_of_products(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)
