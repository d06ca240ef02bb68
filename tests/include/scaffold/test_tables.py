from __future__ import annotations

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from include.errors import DataError, ServiceUnavailable
from include.scaffold.tables import normalized_name, read_source_table
from tests.conftest import free_ports
from tests.include.scaffold.sample_files import write_customers


def test_dialect_of_csv_is_recognized(tmp_path):
    table = read_source_table(str(write_customers(tmp_path)))
    assert (table.delimiter, table.decimal, table.nulls) == (";", ",", ("?", "NA"))
    assert table.rename["customerID"] == "customer_id"
    assert table.frame["age"].isna().any()


def test_names_of_columns_stay_different(tmp_path):
    path = tmp_path / "Same names.csv"
    path.write_text("A b,a_B,1st\n1,2,3\n")
    table = read_source_table(str(path))
    assert list(table.frame.columns) == ["a_b", "a_b_2", "c_1st"]
    assert table.name == "same_names"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\n", "there are no rows to look at"),
        ("a.csv", b"a\n\xff\n", "is not UTF-8. Convert the file"),
        ("a.xlsx", b"", "its name ends with none of .csv"),
        ("a.parquet", b"no", "it is no Parquet file"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_source_table(str(tmp_path / name))


def test_missing_file_is_named():
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file"):
        read_source_table("nothing.csv")


def test_table_and_query_of_a_database_are_read(postgres):
    url = postgres.create_database("shop")
    frame = pd.DataFrame({"Order ID": [1, 2], "amount": [1.5, None]})
    engine = create_engine(url)
    frame.to_sql("orders", engine, index=False)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA till"))
        connection.execute(text("CREATE TABLE till.sales AS SELECT * FROM orders"))
    engine.dispose()
    by_table = read_source_table(url, table="till.sales")
    by_query = read_source_table(url, query='SELECT "Order ID" FROM orders')
    assert (by_table.name, list(by_table.frame.columns)) == ("sales", ["order_id", "amount"])
    assert (by_query.name, list(by_query.frame.columns)) == ("query", ["order_id"])
    with pytest.raises(DataError, match="other"):
        read_source_table(url, table="other")
    with pytest.raises(DataError, match="needs --table NAME or --query"):
        read_source_table(url)


def test_database_that_is_away_is_named():
    url = f"postgresql://reader@127.0.0.1:{free_ports(1)[0]}/shop"
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1: the database does not answer"):
        read_source_table(url, table="orders")


@pytest.mark.parametrize(
    ("text", "name"), [("MonthlyCharges", "monthly_charges"), ("Kunden-Nr.", "kunden_nr"), ("%", "column")]
)
def test_name_is_normalized(text, name):
    assert normalized_name(text) == name
