#!/usr/bin/env python3
"""Writes phones.json: numbers as people in seven countries write them, and what wa.me wants of each.

What is right comes from how each number is put together here, from its area and its local number, by the countries' own
numbering rules; nothing of the hub is asked. `null`: there is no such number, and the hub has to say so.
"""

import json
import pathlib

cases = []


def case(country, text, digits, note):
    cases.append({"country": country, "input": text, "whatsapp": digits, "note": note})


def grouped(number):
    return number[:-4] + "-" + number[-4:]


# Argentina: +54 9, area, number; ten digits together. At home a mobile is 0, area, 15, number.
for area, number in [("11", "23456789"), ("11", "65432109"), ("351", "6123456"), ("341", "5123456"), ("261", "5123456"),
                     ("221", "4567890"), ("2966", "412345"), ("3492", "512345")]:
    right = f"549{area}{number}"
    for text, note in [
        (f"+54 9 {area} {grouped(number)}", "as it should be"),
        (right, "as it should be, without the plus"),
        (f"0{area} 15 {number}", "at home, with 0 and 15"),
        (f"({area}) 15-{grouped(number)}", "at home, with 15"),
        (f"{area}{number}", "area and number"),
    ]:
        case("AR", text, right, note)
for text, digits, note in [
    ("0054 9 11 2345 6789", "5491123456789", "00 for the plus"),
    ("+54 11 2345 6789", "5491123456789", "abroad, without the 9"),
    ("54 11 2345 6789", "5491123456789", "abroad, without plus and 9"),
    ("+54 9 011 15 2345 6789", "5491123456789", "everything at once"),
    ("+54 (0351) 15 612-3456", "5493516123456", "plus, 0 and 15"),
    ("011-2345-6789", "5491123456789", "0 and no 15"),
    ("011 4321-5678", "5491143215678", "a landline looks like a mobile without 15, and is taken for one"),
    ("11.2345.6789", "5491123456789", "dots"),
    ("11/2345/6789", "5491123456789", "slashes"),
    ("  11 2345 6789  ", "5491123456789", "spaces around"),
    ("+5491123456789", "5491123456789", "no spaces"),
    ("9 11 2345 6789", "5491123456789", "the 9 alone"),
    ("15 2345-6789", None, "no area"),
    ("2345-6789", None, "no area and no 15"),
    ("11 2345-678", None, "a digit short"),
    ("11 2345-67890", None, "a digit too many"),
    ("0800 222 3333", None, "a free number has no WhatsApp by this form"),
    ("+54 9 11 2345 67 8a", None, "a letter"),
    ("once 2345 6789", None, "words"),
    ("11 2345 6789 int. 4", None, "an extension"),
    ("0000000000", None, "zeros"),
    ("11+23456789", None, "a plus in the middle"),
    ("911", None, "an emergency number"),
    ("", None, "nothing"),
    ("+", None, "a plus alone"),
]:
    case("AR", text, digits, note)

# Mexico: +52 and ten digits; the 1 after 52 and 01, 044, 045 ended in 2019.
for number in ["5512345678", "3312345678", "8112345678", "2221234567", "9981234567", "6641234567"]:
    right = f"52{number}"
    for text, note in [
        (f"+52 {number[:2]} {number[2:6]} {number[6:]}", "as it should be"),
        (f"+52 1 {number[:3]} {number[3:]}", "the old 1"),
        (f"044 {number}", "the old 044"),
        (f"{number[:3]} {number[3:6]} {number[6:]}", "ten digits"),
    ]:
        case("MX", text, right, note)
for text, digits, note in [
    ("045 33 1234 5678", "523312345678", "the old 045"),
    ("01 55 1234 5678", "525512345678", "the old 01"),
    ("5215512345678", "525512345678", "the old 1, no plus"),
    ("525512345678", "525512345678", "no plus"),
    ("00 52 55 1234 5678", "525512345678", "00 for the plus"),
    ("(55) 1234-5678", "525512345678", "brackets"),
    ("55-12-34-56-78", "525512345678", "pairs"),
    ("+52 (55) 5123 4567", "525551234567", "a landline: they have WhatsApp too"),
    ("1234 5678", None, "eight digits, no area"),
    ("55 1234 567", None, "a digit short"),
    ("55 1234 56789", None, "a digit too many"),
    ("+52 0 55 1234", None, "too short"),
    ("cincuenta y cinco", None, "words"),
]:
    case("MX", text, digits, note)

# Brazil: area of two digits; a mobile has nine, the first a 9, since 2016.
for area, number in [("11", "912345678"), ("21", "987654321"), ("31", "991234567"), ("51", "998765432"),
                     ("71", "981234567"), ("85", "991234567"), ("61", "981112222")]:
    right = f"55{area}{number}"
    for text, note in [
        (f"+55 {area} {grouped(number)}", "as it should be"),
        (f"({area}) {grouped(number)}", "at home"),
        (f"0{area} {number}", "with the trunk 0"),
        (f"55{area}{number}", "no plus"),
    ]:
        case("BR", text, right, note)
for area, old in [("11", "81234567"), ("41", "99123456"), ("48", "88123456"), ("84", "96123456")]:
    case("BR", f"({area}) {grouped(old)}", f"55{area}9{old}", "before the ninth digit")
    case("BR", f"+55 {area} {old}", f"55{area}9{old}", "before the ninth digit, abroad")
for text, digits, note in [
    ("0 15 11 91234-5678", "5511912345678", "through a carrier"),
    ("0 21 21 98765-4321", "5521987654321", "through another carrier"),
    ("+55 (0) 11 91234 5678", "5511912345678", "the 0 in brackets"),
    ("0055 11 91234 5678", "5511912345678", "00 for the plus"),
    ("(11) 3123-4567", "551131234567", "a landline keeps its eight digits"),
    ("+55 21 2345-6789", "552123456789", "a landline, abroad"),
    ("(48) 3234-5678", "554832345678", "a landline in the south"),
    ("91234-5678", None, "no area"),
    ("3123-4567", None, "a landline without its area"),
    ("(11) 91234-567", "5511991234567", "a digit short looks like one from before the ninth digit"),
    ("(11) 3123-456", None, "a landline with a digit short"),
    ("(11) 91234-56789", None, "a digit too many"),
    ("(10) 91234-5678", None, "no such area"),
    ("(00) 91234-5678", None, "no area of zeros"),
    ("onze 91234", None, "words"),
]:
    case("BR", text, digits, note)

# Chile: nine digits; a mobile begins with 9.
for number in ["987654321", "961234567", "954321098"]:
    for text, note in [
        (f"+56 {number[0]} {number[1:5]} {number[5:]}", "as it should be"),
        (f"{number[0]} {number[1:5]} {number[5:]}", "at home"),
        (f"56{number}", "no plus"),
        (f"0{number}", "the old 09"),
    ]:
        case("CL", text, f"56{number}", note)
for text, digits, note in [
    ("0056 9 8765 4321", "56987654321", "00 for the plus"),
    ("(9) 8765-4321", "56987654321", "brackets"),
    ("2 2345 6789", "56223456789", "a landline in Santiago"),
    ("+56 32 212 3456", "56322123456", "a landline in Valparaíso"),
    ("8765 4321", None, "no 9"),
    ("9 8765 432", None, "a digit short"),
    ("9 8765 43210", None, "a digit too many"),
    ("133", None, "an emergency number"),
]:
    case("CL", text, digits, note)

# Colombia: ten digits; a mobile begins with 3, a landline with 60 and its area since 2021.
for number in ["3001234567", "3101234567", "3201234567"]:
    for text, note in [
        (f"+57 {number[:3]} {number[3:6]} {number[6:]}", "as it should be"),
        (f"{number[:3]} {number[3:]}", "at home"),
        (f"57{number}", "no plus"),
        (f"03 {number}", "the old 03"),
    ]:
        case("CO", text, f"57{number}", note)
for text, digits, note in [
    ("0057 300 123 4567", "573001234567", "00 for the plus"),
    ("(300) 123-4567", "573001234567", "brackets"),
    ("601 234 5678", "576012345678", "a landline in Bogotá"),
    ("+57 604 234 5678", "576042345678", "a landline in Medellín, abroad"),
    ("(1) 234 5678", "576012345678", "a landline as before 2021"),
    ("+57 4 2345678", "576042345678", "a landline as before 2021, abroad"),
    ("234 5678", None, "no area"),
    ("300 123 456", None, "a digit short"),
    ("300 123 45678", None, "a digit too many"),
    ("9001234567", None, "no such network"),
]:
    case("CO", text, digits, note)

# Peru: a mobile has nine digits and begins with 9; a landline is area and number, eight together.
for number in ["987654321", "912345678", "945678901"]:
    for text, note in [
        (f"+51 {number[:3]} {number[3:6]} {number[6:]}", "as it should be"),
        (f"{number[:3]} {number[3:6]} {number[6:]}", "at home"),
        (f"51{number}", "no plus"),
        (f"0051{number}", "00 for the plus"),
    ]:
        case("PE", text, f"51{number}", note)
for text, digits, note in [
    ("(987) 654-321", "51987654321", "brackets"),
    ("01 234 5678", "5112345678", "a landline in Lima"),
    ("+51 1 234 5678", "5112345678", "a landline in Lima, abroad"),
    ("(044) 234567", "5144234567", "a landline in Trujillo"),
    ("98765432", None, "a digit short"),
    ("9876543210", None, "a digit too many"),
    ("234 5678", None, "no area"),
]:
    case("PE", text, digits, note)

# Uruguay: eight digits without the trunk 0; a mobile begins with 9.
for number in ["94123456", "99123456", "91234567"]:
    for text, note in [
        (f"+598 {number[:2]} {number[2:5]} {number[5:]}", "as it should be"),
        (f"0{number[:2]} {number[2:5]} {number[5:]}", "at home, with 0"),
        (f"{number}", "without 0"),
        (f"598{number}", "no plus"),
    ]:
        case("UY", text, f"598{number}", note)
for text, digits, note in [
    ("00598 94 123 456", "59894123456", "00 for the plus"),
    ("+598 094 123 456", "59894123456", "plus and 0"),
    ("2 901 2345", "59829012345", "a landline in Montevideo"),
    ("+598 4222 3456", "59842223456", "a landline in Maldonado"),
    ("094 123 45", None, "a digit short"),
    ("094 123 4567", None, "a digit too many"),
    ("911", None, "an emergency number"),
]:
    case("UY", text, digits, note)

# Another country's, and none's.
for text, digits, note in [
    ("+34 612 34 56 78", "34612345678", "Spain"),
    ("+1 415 555 2671", "14155552671", "the United States"),
    ("+55 11 91234-5678", "5511912345678", "Brazil, from Argentina"),
    ("+999 123456789", None, "no such country"),
    ("+54", None, "a country alone"),
]:
    case("AR", text, digits, note)
case("BR", "+54 9 11 2345-6789", "5491123456789", "Argentina, from Brazil")
case("PE", "+56 9 8765 4321", "56987654321", "Chile, from Peru")

lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in cases)
pathlib.Path(__file__).with_name("phones.json").write_text(f"[\n{lines}\n]\n")
